import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { kvBytesPerToken, kvCacheBytes, kvCacheReport } from '../../../src/architecture/kv-bytes.ts'
import { kvDtypeBits } from '../../../src/architecture/kv-values.ts'
import type { ModelConfig } from '../../../src/architecture/model-config.ts'
import { findPreset, presets } from '../../../src/architecture/presets.ts'
import { readModelConfig } from '../../../src/architecture/read-config.ts'

const configOf = (name: string) => readModelConfig(findPreset(name).config, name)
const as = (config: ModelConfig, kind: string, contextLength: number) =>
  kvCacheReport(config, { contextLength }).asKinds.find((row) => row.label.startsWith(kind))?.bytes

describe("the lecture's figures", () => {
  it('are 4.5 GiB and 48 MiB for GPT-3 at 1024 tokens', () => {
    expect(kvCacheReport(configOf('gpt3-175b'), { contextLength: 1024 }).bytes).toBe(4.5 * 2 ** 30)
    expect(as(configOf('gpt3-175b'), 'MQA', 1024)).toBe(48 * 2 ** 20)
  })

  it("are 9 GiB and 96 MiB at GPT-3's own context", () => {
    expect(kvCacheReport(configOf('gpt3-175b'), { contextLength: 2048 }).bytes).toBe(9 * 2 ** 30)
    expect(as(configOf('gpt3-175b'), 'MQA', 2048)).toBe(96 * 2 ** 20)
  })

  it('are 399.8 GB and 3.12 GB for DeepSeek at 100,000 tokens, and 7.03 GB for its MLA', () => {
    const config = configOf('deepseek-v3')
    expect(as(config, 'MHA', 100_000)).toBe(399_769_600_000)
    expect(as(config, 'MQA', 100_000)).toBe(3_123_200_000)
    expect(kvCacheReport(config, { contextLength: 100_000 }).bytes).toBe(7_027_200_000)
  })
})

describe('kvBytesPerToken', () => {
  it.each([
    ['gpt2-medium', 98_304],
    ['falcon-rw-1b', 196_608],
    ['falcon-7b', 8192],
    ['falcon-40b', 122_880],
    ['llama-3.1-8b', 131_072],
    ['gemma-2b', 18_432],
    ['deepseek-v2-lite', 31_104],
    ['deepseek-v3', 70_272],
  ])('is for %s %i bytes in 16 bits', (name, bytes) => {
    expect(kvBytesPerToken(configOf(name), 16)).toBe(bytes)
    expect(kvBytesPerToken(configOf(name), 32)).toBe(2 * bytes)
    expect(kvBytesPerToken(configOf(name), 4)).toBe(bytes / 4)
  })
})

describe('kvCacheBytes', () => {
  it('stops at the window of a sliding layer', () => {
    const mistral = configOf('mistral-7b')
    const at = (contextLength: number) => kvCacheBytes(mistral, { contextLength, bitsPerValue: 16 })
    expect(at(4096)).toBe(131_072 * 4096)
    expect(at(32_768)).toBe(at(4096))
    const half = mistral.attention.map((shape, layer) => ({ ...shape, window: layer < 16 ? null : 4096 }))
    expect(kvCacheBytes({ attention: half }, { contextLength: 8192, bitsPerValue: 16 })).toBe(at(4096) * 1.5)
  })

  it('copies K/V heads where there are fewer of them than devices', () => {
    const total = (name: string, tensorParallel: number) =>
      kvCacheBytes(configOf(name), { contextLength: 1000, bitsPerValue: 16, tensorParallel })
    expect(total('llama-3.1-70b', 8)).toBe(total('llama-3.1-70b', 1))
    expect(total('llama-3.1-70b', 16)).toBe(2 * total('llama-3.1-70b', 1))
    // Llama 2, appendix A.2.1: on 8 devices MQA caches as much as GQA with 8 K/V heads.
    expect(total('gemma-2b', 8)).toBe(8 * total('gemma-2b', 1))
    expect(total('deepseek-v3', 8)).toBe(8 * total('deepseek-v3', 1))
  })
})

describe('kvCacheReport', () => {
  const questions = [
    { contextLength: 1 },
    { contextLength: 5000, batch: 3, dtype: 'INT4' as const },
    { contextLength: 5000, batch: 2, dtype: 'FP8' as const, tensorParallel: 16 },
  ]
  it.each(presets.map(({ name }) => [name]))('multiplies its factors to its bytes for %s', (name) => {
    for (const question of questions) {
      const report = kvCacheReport(configOf(name), question)
      expect(report.factors.reduce((product, factor) => product * factor.value, 1)).toBe(report.bytes)
      expect(report.asKinds.some((row) => row.ratio === 1)).toBe(true)
    }
  })

  it('multiplies its factors to its bytes where layers differ', () => {
    const mistral = configOf('mistral-7b')
    const attention = mistral.attention.map((shape, layer) => ({ ...shape, window: layer % 2 ? 100 : null }))
    const report = kvCacheReport({ ...mistral, attention }, { contextLength: 1000, batch: 2 })
    expect(report.factors.reduce((product, factor) => product * factor.value, 1)).toBe(report.bytes)
    expect(report.layers.map((group) => group.layers.length)).toEqual([16, 16])
    expect(report.products.map(({ bytes }) => bytes)).toEqual(
      [16, 16].map((layers, group) => {
        return layers * 2 * 8 * 128 * 2 * (group === 0 ? 1000 : 100) * 2
      }),
    )
    expect(report.products[1]?.formula).toBe(
      'layers x batch x KV heads x head dim x 2 (K and V) x tokens (window of 100) x bytes per value (layers 1, 3, ..., 31)',
    )
    for (const { factors, bytes } of report.products) {
      expect(factors.reduce((product, factor) => product * factor.value, 1)).toBe(bytes)
    }
    expect(report.products.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(report.bytes)
  })

  it('spells the formula in words', () => {
    const formula = (name: string, tensorParallel = 1) =>
      kvCacheReport(configOf(name), { contextLength: 9000, tensorParallel }).formula
    expect(formula('gpt2')).toBe('layers x batch x KV heads x head dim x 2 (K and V) x tokens x bytes per value')
    expect(formula('deepseek-v3')).toBe('layers x batch x (latent rank + rotary key dim) x tokens x bytes per value')
    expect(formula('mistral-7b')).toContain('tokens (window of 4096)')
    expect(formula('gemma-2b', 8)).toContain('KV heads (1, copied to 8 devices)')
  })

  it('offers the other kinds from most to fewest heads, and only where the query heads divide', () => {
    const kinds = (name: string) =>
      kvCacheReport(configOf(name), { contextLength: 10 }).asKinds.map((row) => row.label.split(' ')[0])
    expect(kinds('llama-3.1-8b')).toEqual(['MHA', 'GQA-8', 'GQA-4', 'MQA', 'MLA'])
    expect(kinds('falcon-7b')).toEqual(['MHA', 'MQA', 'MLA'])
    expect(kinds('smollm2-135m')).toEqual(['MHA', 'GQA-3', 'MQA', 'MLA'])
    expect(kinds('gemma-2b')).toEqual(['MHA', 'GQA-4', 'MQA', 'MLA'])
  })

  it('compares each kind with the model as it is', () => {
    const rows = kvCacheReport(configOf('llama-3.1-8b'), { contextLength: 10 }).asKinds
    expect(rows.map((row) => row.ratio)).toEqual([4, 1, 0.5, 0.125, 576 / 2048])
  })

  it('counts the sequences that fit beside the weights, on each device its share', () => {
    const [config, contextLength] = [configOf('llama-3.1-8b'), 8192]
    const sequences = (memoryBytes: number, tensorParallel = 1) =>
      kvCacheReport(config, { contextLength, memoryBytes, tensorParallel }).sequencesThatFit
    const [weights, sequence] = [8_030_261_248 * 2, 131_072 * 8192]
    expect(sequences(weights + 5 * sequence)).toBe(5)
    expect(sequences(weights + 5 * sequence - 1)).toBe(4)
    expect(sequences(weights - 1)).toBe(0)
    expect(sequences(weights / 2 + (5 * sequence) / 2, 2)).toBe(5)
    expect(kvCacheReport(config, { contextLength }).sequencesThatFit).toBeNull()
  })

  it('counts DeepSeek as MHA with 256 values a head, as the lecture, and with 320', () => {
    const config = configOf('deepseek-v3')
    const rows = kvCacheReport(config, { contextLength: 1 }).asKinds.filter((row) => row.kind === 'MHA')
    expect(rows.map((row) => row.bytes)).toEqual([61 * 128 * 256 * 2, 61 * 128 * 320 * 2])
    expect(rows[0]?.meaning).toContain('256 values each, without the rotary key, as the lecture counts')
    expect(rows[1]?.label).toContain('192 + 128, with the rotary key')
  })

  it('says what the same model means, and of the model itself that it is', () => {
    const meanings = kvCacheReport(configOf('llama-3.1-8b'), { contextLength: 10 }).asKinds.map((row) => row.meaning)
    expect(meanings[0]).toBe(
      'every query head has a K/V head, 256 values each; layers, query heads, head dims and windows stay',
    )
    expect(meanings.filter((meaning) => meaning.startsWith('as it is'))).toHaveLength(1)
    expect(meanings[3]).toContain('32 query heads share a K/V head')
  })

  it('says how many sequences of each length fit, and how long the longest may be', () => {
    const config = configOf('llama-3.1-8b')
    const weightBytes = 8_030_261_248 * 2
    const report = kvCacheReport(config, {
      contextLength: 5000,
      batch: 2,
      memoryBytes: weightBytes + 131_072 * 6000,
    })
    expect(report.longestThatFits).toBe(3000)
    expect(report.fits.map((fit) => fit.contextLength)).toEqual([
      1024, 2048, 4096, 5000, 8192, 16_384, 32_768, 65_536, 131_072,
    ])
    expect(report.fits.map((fit) => fit.sequences)).toEqual([5, 2, 1, 1, 0, 0, 0, 0, 0])
    const stored = kvCacheReport(config, { contextLength: 1, memoryBytes: 2 ** 33, weightBytes: 2 ** 33 })
    expect(stored).toMatchObject({ weightBytes: 2 ** 33, longestThatFits: 0, sequencesThatFit: 0 })
    expect(kvCacheReport(config, { contextLength: 1 })).toMatchObject({ fits: [], longestThatFits: null })
  })

  it('goes no longer than the context, though a window is full long before', () => {
    expect(kvCacheReport(configOf('mistral-7b'), { contextLength: 1, memoryBytes: 2 ** 40 }).longestThatFits).toBe(
      32_768,
    )
  })

  it.each([
    [{ quant_method: 'fp8' }, 1],
    [{ quant_method: 'gptq', bits: 4 }, 0.5],
    [{ quant_method: 'unheard of' }, 2],
  ])('takes the width of weights from quantization_config %j', (quantization, width) => {
    const raw = { ...findPreset('llama-3.1-8b').config, quantization_config: quantization }
    const report = kvCacheReport(readModelConfig(raw, 'quantised'), { contextLength: 1 })
    expect(report.weightBytes).toBe(8_030_261_248 * width)
  })

  it.each([
    ['contextLength', { contextLength: 0 }],
    ['batch', { contextLength: 1, batch: 1.5 }],
    ['tensorParallel', { contextLength: 1, tensorParallel: -1 }],
    ['tokens', { contextLength: 2 ** 52 }],
  ])('refuses %s that makes no size', (name, question) => {
    expect(() => kvCacheReport(configOf('gpt2'), question)).toThrow(
      expect.objectContaining({ code: 'VALIDATION_FAILED', message: expect.stringContaining(name) }),
    )
  })
})

describe('kv-bytes.ts', () => {
  it('runs in a browser: nothing that it imports is of Node', async () => {
    const seen = new Set<string>()
    async function visit(file: string): Promise<void> {
      if (seen.has(file)) return
      seen.add(file)
      const text = await readFile(file, 'utf8')
      for (const [, name = ''] of text.matchAll(/^import (?!type).*?from '(.+?)'/gms)) {
        expect(name, file).toMatch(/^\./)
        await visit(join(dirname(file), name))
      }
    }
    await visit(new URL('../../../src/architecture/kv-bytes.ts', import.meta.url).pathname)
    expect(seen.size).toBeGreaterThan(5)
    expect(Object.keys(kvDtypeBits)).toEqual(['F32', 'F16', 'BF16', 'FP8', 'INT8', 'INT4'])
  })
})
