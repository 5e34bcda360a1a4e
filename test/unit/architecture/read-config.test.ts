import { describe, expect, it } from 'vitest'
import { withKvHeads } from '../../../src/architecture/pool-kv-heads.ts'
import { findPreset, presets } from '../../../src/architecture/presets.ts'
import { readModelConfig } from '../../../src/architecture/read-config.ts'
import { ropeOf } from '../../../src/architecture/rope.ts'

const read = (name: string, changes: Record<string, unknown> = {}) =>
  readModelConfig({ ...findPreset(name).config, ...changes }, name)

/** layers, query heads, K/V heads, key dim + value dim, hidden size, vocabulary, context */
const table: [string, number, number, number | null, string, number, number, number][] = [
  ['gpt2', 12, 12, 12, '64+64', 768, 50257, 1024],
  ['gpt2-medium', 24, 16, 16, '64+64', 1024, 50257, 1024],
  ['gpt2-medium-4k', 24, 16, 16, '64+64', 1024, 50257, 4096],
  ['gpt2-xl', 48, 25, 25, '64+64', 1600, 50257, 1024],
  ['gpt-neo-125m', 12, 12, 12, '64+64', 768, 50257, 2048],
  ['falcon-rw-1b', 24, 32, 32, '64+64', 2048, 50304, 2048],
  ['falcon-7b', 32, 71, 1, '64+64', 4544, 65024, 2048],
  ['falcon-40b', 60, 128, 8, '64+64', 8192, 65024, 2048],
  ['falcon-11b', 60, 32, 8, '128+128', 4096, 65024, 8192],
  ['falcon-rw-small', 12, 12, 12, '64+64', 768, 50304, 2048],
  ['falcon-7b-small', 12, 12, 1, '64+64', 768, 65024, 2048],
  ['falcon-40b-small', 12, 12, 4, '64+64', 768, 65024, 2048],
  ['llama-2-7b', 32, 32, 32, '128+128', 4096, 32000, 4096],
  ['llama-3.1-8b', 32, 32, 8, '128+128', 4096, 128256, 131072],
  ['llama-3.1-70b', 80, 64, 8, '128+128', 8192, 128256, 131072],
  ['mistral-7b', 32, 32, 8, '128+128', 4096, 32000, 32768],
  ['mixtral-8x7b', 32, 32, 8, '128+128', 4096, 32000, 32768],
  ['mixtral-small', 6, 12, 4, '64+64', 768, 32000, 4096],
  ['qwen2.5-0.5b', 24, 14, 2, '64+64', 896, 151936, 32768],
  ['qwen3-0.6b', 28, 16, 8, '128+128', 1024, 151936, 40960],
  ['gemma-2b', 18, 8, 1, '256+256', 2048, 256000, 8192],
  ['gemma-2-2b', 26, 8, 4, '256+256', 2304, 256000, 8192],
  ['gemma-3-1b', 26, 4, 1, '256+256', 1152, 262144, 32768],
  ['smollm2-135m', 30, 9, 3, '64+64', 576, 49152, 8192],
  ['phi-2', 32, 32, 32, '80+80', 2560, 51200, 2048],
  ['phi-3-mini-4k', 32, 32, 32, '96+96', 3072, 32064, 4096],
  ['olmo-2-1b', 16, 16, 16, '128+128', 2048, 100352, 4096],
  ['pythia-14m', 6, 4, 4, '32+32', 128, 50304, 512],
  ['starcoder', 40, 48, 1, '128+128', 6144, 49152, 8192],
  ['santacoder', 24, 16, 1, '128+128', 2048, 49280, 2048],
  ['tiny-starcoder-py', 20, 12, 1, '64+64', 768, 49152, 8192],
  ['deepseek-v2-lite', 27, 16, null, '192+128', 2048, 102400, 32768],
  ['deepseek-v2', 60, 128, null, '192+128', 5120, 102400, 131072],
  ['deepseek-v3', 61, 128, null, '192+128', 7168, 129280, 163840],
  ['gpt3-175b', 96, 96, 96, '128+128', 12288, 50257, 2048],
]

describe('readModelConfig', () => {
  it.each(table)(
    'reads the sizes of %s',
    (name, layers, heads, kvHeads, dims, hiddenSize, vocabularySize, contextLength) => {
      const config = read(name)
      expect(config).toMatchObject({ layers, heads, hiddenSize, vocabularySize, contextLength })
      expect(config.attention).toHaveLength(layers)
      for (const shape of config.attention) {
        expect(shape.kvHeads).toBe(kvHeads)
        expect(`${shape.keyDim}+${shape.valueDim}`).toBe(dims)
      }
    },
  )

  it('has every preset in the table', () => {
    expect(presets.map((preset) => preset.name).sort()).toEqual(table.map(([name]) => name).sort())
  })

  it('survives JSON unchanged, as it crosses process boundaries', () => {
    for (const { name } of presets) expect(JSON.parse(JSON.stringify(read(name)))).toEqual(read(name))
  })

  const refused: [sentence: string, preset: string, changes: Record<string, unknown>, message: RegExp][] = [
    ['an unknown family', 'gpt2', { model_type: 'rwkv' }, /model_type = "rwkv"/],
    ['a config without a family', 'gpt2', { model_type: undefined }, /model_type = nothing/],
    ['a field that is missing', 'gpt2', { n_head: undefined }, /n_head = nothing/],
    ['a fraction of a head', 'llama-2-7b', { num_attention_heads: 1.5 }, /num_attention_heads = 1.5/],
    ['a size given as text', 'llama-2-7b', { hidden_size: '4096' }, /hidden_size = "4096"/],
    ['a billion layers', 'llama-2-7b', { num_hidden_layers: 1e9 }, /num_hidden_layers = 1000000000: it may be 1024/],
    ['one layer too many', 'gpt2', { n_layer: 1025 }, /n_layer = 1025: it may be 1024 at most/],
    ['heads that do not divide the hidden size', 'gpt2', { n_head: 7 }, /n_head = 7: the hidden size 768/],
    ['groups that do not divide the heads', 'llama-2-7b', { num_key_value_heads: 5 }, /num_key_value_heads = 5: 32/],
    ['a flag given as a number', 'llama-2-7b', { tie_word_embeddings: 1 }, /tie_word_embeddings = 1/],
    ['a negative epsilon', 'llama-2-7b', { rms_norm_eps: -1 }, /rms_norm_eps = -1/],
    ['SantaCoder in custom code', 'gpt2', { attention_head_type: 'multiquery' }, /attention_head_type = "multiquery"/],
    ['cross attention', 'gpt2', { add_cross_attention: true }, /add_cross_attention = true/],
    [
      'an unknown kind of layer',
      'mistral-7b',
      { layer_types: Array(32).fill('chunked') },
      /layer_types\[0\] = "chunked"/,
    ],
    ['layer types for fewer layers', 'mistral-7b', { layer_types: ['full_attention'] }, /list the 32 layers/],
    ['three norms in parallel', 'falcon-40b', { num_ln_in_parallel_attn: 3, new_decoder_architecture: true }, /= 3/],
    [
      'more experts than can be named',
      'deepseek-v3',
      { n_routed_experts: 538 },
      /n_routed_experts = 538: all layers together may have 32768/,
    ],
  ]
  it.each(refused)('refuses %s by the name of its field', async (_, preset, changes, message) => {
    const { expectedTensors } = await import('../../../src/architecture/expected-tensors.ts')
    const reading = () => expectedTensors(read(preset, changes))
    expect(reading).toThrow(message)
    expect(reading).toThrow(expect.objectContaining({ code: 'CONFIG_UNSUPPORTED' }))
  })

  it("gives mistral's every layer its window, and qwen2's those from max_window_layers when switched on", () => {
    const windows = (config: ReturnType<typeof read>) => config.attention.map((shape) => shape.window)
    expect(new Set(windows(read('mistral-7b')))).toEqual(new Set([4096]))
    expect(new Set(windows(read('mistral-7b', { sliding_window: null })))).toEqual(new Set([null]))
    expect(new Set(windows(read('qwen2.5-0.5b')))).toEqual(new Set([null]))
    const switchedOn = { use_sliding_window: true, max_window_layers: 22, sliding_window: 1024 }
    expect(windows(read('qwen2.5-0.5b', switchedOn)).slice(21)).toEqual([null, 1024, 1024])
    const types = [...Array(22).fill('full_attention'), 'sliding_attention', 'full_attention']
    const listed = { ...switchedOn, layer_types: types }
    expect(windows(read('qwen2.5-0.5b', listed)).slice(21)).toEqual([null, 1024, null])
    // transformers would look for a window that it has switched off, and lists no layers of a Mistral.
    expect(() => read('qwen2.5-0.5b', { ...listed, use_sliding_window: false })).toThrow('use_sliding_window is off')
    expect(() =>
      read('mistral-7b', { layer_types: [...Array(31).fill('full_attention'), 'sliding_attention'] }),
    ).toThrow('every layer of a Mistral has the window 4096')
  })

  it('takes the window of transformers where config.json is silent', () => {
    const windows = (config: ReturnType<typeof read>) => new Set(config.attention.map((shape) => shape.window))
    expect(windows(read('mistral-7b', { sliding_window: undefined }))).toEqual(new Set([4096]))
    const switchedOn = { use_sliding_window: true, max_window_layers: 0, sliding_window: undefined }
    expect(windows(read('qwen2.5-0.5b', switchedOn))).toEqual(new Set([4096]))
  })

  it("reads the rotary base in transformers 4's and 5's spelling", () => {
    expect(read('llama-3.1-8b').ropeTheta).toBe(500_000)
    expect(read('llama-2-7b', { rope_parameters: { rope_theta: 7, rope_type: 'default' } }).ropeTheta).toBe(7)
    expect(read('pythia-14m', { rotary_emb_base: 9 }).ropeTheta).toBe(9)
    expect(read('falcon-rw-1b').ropeTheta).toBeNull()
    expect(read('falcon-7b').ropeTheta).toBe(10_000)
  })

  it('finds a stretched rotary embedding in either spelling', () => {
    const type = (...given: Parameters<typeof read>) => ropeOf(read(...given)).scaling?.type
    expect(type('llama-3.1-8b')).toBe('llama3')
    expect(type('deepseek-v3')).toBe('yarn')
    expect(type('llama-2-7b', { rope_parameters: { rope_theta: 1, rope_type: 'linear', factor: 2 } })).toBe('linear')
    expect(type('llama-2-7b', { rope_parameters: { rope_theta: 1, rope_type: 'default' } })).toBeUndefined()
    expect(type('llama-2-7b')).toBeUndefined()
  })

  it("reads falcon-40b's first spelling, RefinedWeb", () => {
    const raw = {
      model_type: 'RefinedWeb',
      n_layer: 60,
      n_head: 128,
      n_head_kv: 8,
      hidden_size: 8192,
      vocab_size: 65024,
    }
    expect(readModelConfig(raw, 'falcon-40b').attention[0]).toMatchObject({ kind: 'GQA', kvHeads: 8 })
  })
})

describe('findPreset', () => {
  it('lists the names there are when asked for another', () => {
    expect(() => findPreset('gpt5')).toThrow(
      expect.objectContaining({ code: 'NOT_FOUND', hint: expect.stringContaining('gpt2-medium-4k') }),
    )
  })
})

describe('withKvHeads', () => {
  it.each([
    ['gpt2-medium', 4, 'GQA'],
    ['gpt2-medium', 1, 'MQA'],
    ['smollm2-135m', 1, 'MQA'],
    ['pythia-14m', 2, 'GQA'],
  ])('pools %s into %i K/V heads, and its raw config says so too', (name, kvHeads, kind) => {
    const pooled = withKvHeads(read(name), kvHeads)
    expect(pooled.attention[0]).toMatchObject({ kind, kvHeads })
    expect(readModelConfig(pooled.raw, name)).toEqual(pooled)
  })

  it.each([[3], [32], [0], [-4], [1.5]])('refuses to pool 16 heads into %d', (kvHeads) => {
    expect(() => withKvHeads(read('gpt2-medium'), kvHeads)).toThrow(
      expect.objectContaining({ code: 'VALIDATION_FAILED', message: expect.stringContaining(`kvHeads is ${kvHeads}`) }),
    )
  })

  it('refuses deepseek-v3, whose config.json cannot say it', () => {
    expect(() => withKvHeads(read('deepseek-v3'), 1)).toThrow(expect.objectContaining({ code: 'CONFIG_UNSUPPORTED' }))
  })
})
