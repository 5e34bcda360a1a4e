import { describe, expect, it } from 'vitest'
import { kvCacheBytes } from '../../../src/architecture/kv-bytes.ts'
import type { ModelConfig } from '../../../src/architecture/model-config.ts'
import { parameterCount } from '../../../src/architecture/parameters.ts'
import { findPreset } from '../../../src/architecture/presets.ts'
import { readModelConfig } from '../../../src/architecture/read-config.ts'
import { trialCost } from '../../../src/architecture/step-cost.ts'

const config = (preset: string) => readModelConfig(findPreset(preset).config, preset)
const medium = config('gpt2-medium')
const test = (fields: object) => ({ depth: 0, promptTokens: 0, generatedTokens: 0, batch: 1, ...fields })
const options = { tokensPerStep: 512 }

/** The same step by step, as the formulas of the docstring read. */
function stepByStep(of: ModelConfig, sizes: { depth: number; steps: number[]; batch: number }) {
  let kvBytesRead = 0
  let pairs = 0
  let past = sizes.depth
  for (const size of sizes.steps) {
    kvBytesRead += kvCacheBytes(of, { contextLength: past, batch: sizes.batch, bitsPerValue: 32 })
    pairs += of.layers * 2 * of.heads * 2 * of.headDim * size * (past + size) * sizes.batch
    past += size
  }
  return { kvBytesRead, attentionFlops: pairs }
}

describe('trialCost', () => {
  it('reads every weight of gpt2-medium once a token, but of the table of positions one row', () => {
    const { bytesRead, kvBytesRead } = trialCost(medium, test({ generatedTokens: 1 }), options)
    // 354,823,168 parameters, the tied head among them, of which 1,024 x 1,024 are positions.
    expect(bytesRead).toBe(4 * (354_823_168 - 1024 * 1024 + 1024))
    expect(kvBytesRead).toBe(0)
  })
  it('reads the untied embedding table of a Llama by rows, and its head whole', () => {
    const llama = config('llama-2-7b')
    expect(llama.tiedEmbeddings).toBe(false)
    const table = llama.vocabularySize * llama.hiddenSize
    const { bytesRead } = trialCost(llama, test({ generatedTokens: 3 }), options)
    const kv = kvCacheBytes(llama, { contextLength: 3, bitsPerValue: 32 })
    expect(bytesRead).toBe(4 * 3 * (parameterCount(llama) - table + llama.hiddenSize) + kv)
  })
  it('reads K/V rows by the formula of kv-bytes at every step, for decode, prompts in pieces and batches', () => {
    for (const [asked, sizes] of [
      [test({ generatedTokens: 5, depth: 512 }), { depth: 512, steps: [1, 1, 1, 1, 1], batch: 1 }],
      [test({ promptTokens: 1000, depth: 20, batch: 3 }), { depth: 20, steps: [512, 488], batch: 3 }],
      [test({ promptTokens: 600, generatedTokens: 2 }), { depth: 0, steps: [512, 88, 1, 1], batch: 1 }],
    ] as const) {
      const expected = stepByStep(medium, { ...sizes, steps: [...sizes.steps] })
      const cost = trialCost(medium, asked, options)
      expect(cost.kvBytesRead).toBe(expected.kvBytesRead)
      const weights = trialCost(medium, { ...asked, depth: 0 }, options)
      const shallow = stepByStep(medium, { ...sizes, depth: 0, steps: [...sizes.steps] })
      expect(cost.flops - weights.flops).toBe(expected.attentionFlops - shallow.attentionFlops)
      expect(cost.bytesRead - weights.bytesRead).toBe(expected.kvBytesRead - shallow.kvBytesRead)
    }
  })
  it('meets cached latents of DeepSeek-V2-Lite as one wide K/V head, 27 x 16 x (2 x 512 + 64) products a cached token', () => {
    const lite = config('deepseek-v2-lite')
    const at = (depth: number) => trialCost(lite, test({ depth, generatedTokens: 1 }), options)
    expect(at(1000).flops - at(0).flops).toBe(2 * 1000 * 27 * 16 * (2 * 512 + 64))
    expect(at(1000).kvBytesRead - at(0).kvBytesRead).toBe(4 * 1000 * 27 * 576)
  })
  it('takes 335 GFLOP for a prompt of 512 tokens in gpt2-medium, as facts on the engine have it', () => {
    const { flops } = trialCost(medium, test({ promptTokens: 512 }), options)
    // 2 x 302 M x 512 = 309 for the weights, 26 for scores and values, 0.1 for the last token's logits.
    expect(flops / 1e9).toBeCloseTo(335, 0)
  })
  it('makes the cache no part of a decode from nothing, and more than half of one at 16,384 tokens of MHA', () => {
    const share = (depth: number) => {
      const { bytesRead, kvBytesRead } = trialCost(medium, test({ generatedTokens: 1, depth }), options)
      return kvBytesRead / bytesRead
    }
    expect(share(0)).toBe(0)
    expect(share(16_384)).toBeGreaterThan(0.5)
  })
  it("reads two of Mixtral's eight experts a token in decode, and computes a prompt with as many", () => {
    const mixtral = config('mixtral-8x7b')
    const expert = 3 * 4096 * 14_336
    const table = 32_000 * 4096
    const unused = 32 * 6 * expert
    const decode = trialCost(mixtral, test({ generatedTokens: 1 }), options)
    expect(decode.bytesRead).toBe(4 * (46_702_792_704 - unused - table + 4096))
    const prompt = trialCost(mixtral, test({ promptTokens: 512 }), options)
    const routed = 512 * 2 * 32 * 2 * expert
    const others = prompt.flops - routed
    const dense = trialCost(
      { ...mixtral, raw: { ...mixtral.raw, num_experts_per_tok: 8 } },
      test({ promptTokens: 512 }),
      options,
    )
    expect(dense.flops).toBe(others + 4 * routed)
  })
  it('stops at the window of a layer that has one', () => {
    const mistral = config('mistral-7b')
    const window = mistral.attention[0]?.window ?? Number.NaN
    expect(window).toBeGreaterThan(0)
    const at = (depth: number, generatedTokens: number) =>
      trialCost(mistral, test({ depth, generatedTokens }), options).kvBytesRead
    expect(at(window + 5000, 4)).toBe(4 * kvCacheBytes(mistral, { contextLength: window, bitsPerValue: 32 }))
    expect(at(window - 2, 4)).toBe(
      [window - 2, window - 1, window, window].reduce(
        (sum, contextLength) => sum + kvCacheBytes(mistral, { contextLength, bitsPerValue: 32 }),
        0,
      ),
    )
  })
  it('counts weights and cache by the bytes they are held in', () => {
    const asked = test({ generatedTokens: 1, depth: 100 })
    const wide = trialCost(medium, asked, options)
    const narrow = trialCost(medium, asked, { ...options, bytesPerWeight: 1, bytesPerCached: 2 })
    expect(narrow.kvBytesRead).toBe(wide.kvBytesRead / 2)
    expect(narrow.bytesRead - narrow.kvBytesRead).toBe((wide.bytesRead - wide.kvBytesRead) / 4)
  })
})
