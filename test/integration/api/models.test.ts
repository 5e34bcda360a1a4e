import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { presets } from '../../../src/architecture/presets.ts'
import { createTestDatabase } from '../../support/test-database.ts'
import { at, codeOf, startTestApi } from './api-under-test.ts'

const api = await startTestApi(await createTestDatabase(), { KVSCOPE_MODEL_ROOTS: resolve('test/golden') })

const kvCache = (input: object) =>
  api.request(
    `query ($input: KvCacheInput!) { kvCache(input: $input) { kind bytes bytesPerToken bytesPerDevice weightBytes formula
      factors { name value } layers { layers kind kvHeads window kvBytesPerToken(dtype: INT4) }
      asKinds { label kind kvHeads bytes ratio } sequencesThatFit } }`,
    { input },
  )

describe('kvCache', () => {
  it('counts the bytes of GPT-3 at 2,048 tokens, factor by factor', async () => {
    const answer = await kvCache({ source: { synthetic: { preset: 'gpt3-175b' } }, contextLength: 2048 })
    expect(answer.errors).toBeUndefined()
    // layers x K and V x heads x head dim x 2 bytes x tokens
    expect(at(answer, 'kvCache.bytes')).toBe(96 * 2 * 96 * 128 * 2 * 2048)
    expect(at(answer, 'kvCache')).toMatchObject({ kind: 'MHA', sequencesThatFit: null })
    const factors = at(answer, 'kvCache.factors')
    const product = Array.isArray(factors) ? factors.reduce((total, { value }) => total * value, 1) : 0
    expect(product).toBe(at(answer, 'kvCache.bytes'))
  })

  it('gives each kind of layer its product, and says what fits and what the same model means', async () => {
    const windowed = { use_sliding_window: true, max_window_layers: 20, sliding_window: 1000 }
    const answer = await api.request(
      `query ($input: KvCacheInput!) { kvCache(input: $input) { bytes weightBytes longestThatFits
        products { layers formula factors { value } bytes } fits { contextLength sequences } asKinds { meaning } } }`,
      {
        input: {
          source: { synthetic: { preset: 'qwen2.5-0.5b', overrides: windowed } },
          contextLength: 3000,
          memoryBytes: 2_000_000_000,
        },
      },
    )
    expect(answer.errors).toBeUndefined()
    expect(at(answer, 'kvCache.products')).toMatchObject([
      { layers: Array.from({ length: 20 }, (_, layer) => layer), bytes: 20 * 2 * 64 * 2 * 3000 * 2 },
      {
        layers: [20, 21, 22, 23],
        bytes: 4 * 2 * 64 * 2 * 1000 * 2,
        formula: expect.stringContaining('window of 1000'),
      },
    ])
    expect(at(answer, 'kvCache.bytes')).toBe((20 * 3000 + 4 * 1000) * 512)
    expect(at(answer, 'kvCache.longestThatFits')).toBe(32_768)
    expect(at(answer, 'kvCache.fits')).toContainEqual({ contextLength: 3000, sequences: 30 })
    expect(JSON.stringify(at(answer, 'kvCache.asKinds'))).toContain('as it is')
  })

  it("believes a folder's weights, in their own dtype, where its config.json says otherwise", async () => {
    const source = { local: { path: resolve('test/golden/llama/gqa') } }
    const answer = await kvCache({ source, contextLength: 10 })
    expect(answer.errors).toBeUndefined()
    const file = statSync('test/golden/llama/gqa/model.safetensors').size
    expect(Number(at(answer, 'kvCache.weightBytes'))).toBeLessThan(file)
    expect(Number(at(answer, 'kvCache.weightBytes'))).toBeGreaterThan(0.8 * file)
  })

  it('grows with the batch and shrinks with the dtype', async () => {
    const source = { synthetic: { preset: 'gpt2' } }
    const bytes = async (more: object) => at(await kvCache({ source, contextLength: 100, ...more }), 'kvCache.bytes')
    const once = Number(await bytes({}))
    expect(await bytes({ batch: 3 })).toBe(3 * once)
    expect(await bytes({ dtype: 'F32' })).toBe(2 * once)
    expect(await bytes({ dtype: 'INT4' })).toBe(once / 4)
  })

  it.each([{ contextLength: 0 }, { contextLength: 1, batch: -1 }, { contextLength: 1, tensorParallel: 0 }])(
    'refuses %o',
    async (sizes) => {
      expect(codeOf(await kvCache({ source: { synthetic: { preset: 'gpt2' } }, ...sizes }))).toBe('VALIDATION_FAILED')
    },
  )
})

describe('model', () => {
  const model = (source: object) =>
    api.request('query ($s: ModelSourceInput!) { model(source: $s) { name attentionKind kvHeads } }', { s: source })

  it('is read from a preset with overrides, and from a bare config', async () => {
    const overrides = { n_layer: 2 }
    const answer = await api.request('query ($s: ModelSourceInput!) { model(source: $s) { layers family } }', {
      s: { synthetic: { preset: 'gpt2', overrides } },
    })
    expect(at(answer, 'model')).toEqual({ layers: 2, family: 'gpt2' })
    const config = presets.find(({ name }) => name === 'gpt2')?.config
    expect(at(await model({ config }), 'model')).toMatchObject({ attentionKind: 'MHA', kvHeads: 12 })
  })

  it('asks the values of a folder too, and counts its parameters by part', async () => {
    const answer = await api.request(
      `query ($s: ModelSourceInput!) { model(source: $s) { parameters parameterParts { name parameters tensors }
        votes { by kind evidence } } }`,
      { s: { local: { path: resolve('test/golden/llama/gqa') } } },
    )
    expect(answer.errors).toBeUndefined()
    expect(at(answer, 'model.votes')).toMatchObject([
      { by: 'CONFIG', kind: 'GQA' },
      { by: 'SHAPES', kind: 'GQA' },
      { by: 'VALUES', kind: 'GQA', evidence: expect.stringContaining('no two alike') },
    ])
    const parts = at(answer, 'model.parameterParts')
    const sum = Array.isArray(parts) ? parts.reduce((total, part) => total + part.parameters, 0) : 0
    expect(sum).toBe(at(answer, 'model.parameters'))
  })

  it('is refused where the source cannot be', async () => {
    expect(codeOf(await model({ synthetic: { preset: 'gpt9' } }))).toBe('NOT_FOUND')
    expect(codeOf(await model({ local: { path: '/etc' } }))).toBe('PATH_FORBIDDEN')
    expect(codeOf(await model({ config: { model_type: 'rwkv' } }))).toBe('CONFIG_UNSUPPORTED')
    for (const config of ['text', 7, [], null])
      expect(codeOf(await model({ config })), String(config)).toBe('VALIDATION_FAILED')
  })
})

describe('presets', () => {
  it('are all described', async () => {
    const answer = await api.request('{ presets { name model { attentionKind kvBytesPerToken(dtype: F32) } } }')
    expect(at(answer, 'presets')).toHaveLength(presets.length)
  })
})
