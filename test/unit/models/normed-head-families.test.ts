import { describe, expect, it } from 'vitest'
import { detectAttention } from '../../../src/architecture/detect-attention.ts'
import { expectedTensors } from '../../../src/architecture/expected-tensors.ts'
import { kvCacheBytes } from '../../../src/architecture/kv-bytes.ts'
import { withKvHeads } from '../../../src/architecture/pool-kv-heads.ts'
import { readModelConfig } from '../../../src/architecture/read-config.ts'
import { ropeOf } from '../../../src/architecture/rope.ts'
import { findFamily } from '../../../src/models/registry.ts'

const sizes = {
  ...{ num_hidden_layers: 6, num_attention_heads: 4, num_key_value_heads: 2, hidden_size: 32, intermediate_size: 64 },
  ...{ max_position_embeddings: 64, vocab_size: 99, head_dim: 16 },
}
const qwen3 = { ...sizes, model_type: 'qwen3', hidden_act: 'silu' }
const gemma = { ...sizes, model_type: 'gemma' }
const gemma2 = { ...sizes, model_type: 'gemma2', sliding_window: 8 }
const gemma3 = { ...sizes, model_type: 'gemma3_text', sliding_window: 8 }
/** As google/gemma-3-4b-it has it: most sizes of the text part are left to the default. */
const gemma3With4b = {
  architectures: ['Gemma3ForConditionalGeneration'],
  eos_token_id: [1, 106],
  mm_tokens_per_image: 256,
  model_type: 'gemma3',
  text_config: {
    hidden_size: 2560,
    intermediate_size: 10240,
    model_type: 'gemma3_text',
    num_hidden_layers: 34,
    rope_scaling: { factor: 8, rope_type: 'linear' },
    sliding_window: 1024,
  },
  torch_dtype: 'bfloat16',
  vision_config: { hidden_size: 1152, model_type: 'siglip_vision_model', num_hidden_layers: 27 },
}

const read = (raw: Record<string, unknown>) => readModelConfig(raw, 'tiny')
const find = (raw: Record<string, unknown>) => findFamily(read(raw))
const windows = (raw: Record<string, unknown>) => read(raw).attention.map(({ window }) => window)

describe('Qwen3 and the generations of Gemma', () => {
  it('are found by the config', () => {
    expect([qwen3, gemma, gemma2, gemma3, gemma3With4b].map((raw) => find(raw).family)).toEqual([
      ...['qwen3', 'gemma', 'gemma2', 'gemma3', 'gemma3'],
    ])
  })

  it.each([
    ['a Qwen3 with half a rotation', { ...qwen3, partial_rotary_factor: 0.5 }, 'partial_rotary_factor'],
    ['a Qwen3 with biases in its MLP', { ...qwen3, mlp_bias: true }, 'mlp_bias'],
    ['a Qwen3 that is quantised', { ...qwen3, quantization_config: { bits: 4 } }, 'quantization_config'],
    ['a Qwen3 in chunks', { ...qwen3, dual_chunk_attention_config: {} }, 'dual_chunk_attention_config'],
    ['a Qwen3 with another activation', { ...qwen3, hidden_act: 'mish' }, 'mish'],
    [
      'a Qwen3 whose layers slide although windows are off',
      { ...qwen3, sliding_window: 8, layer_types: Array(6).fill('sliding_attention') },
      'layer_types',
    ],
    ['a Gemma that looks ahead', { ...gemma, use_bidirectional_attention: true }, 'use_bidirectional_attention'],
    ['a Gemma with a cap', { ...gemma, final_logit_softcapping: 30 }, 'final_logit_softcapping'],
    ['a Gemma with a window', { ...gemma, sliding_window: 8 }, 'sliding_window'],
    ['a Gemma whose biases are no flag', { ...gemma, attention_bias: 1 }, 'attention_bias'],
    [
      'a Gemma with two activations',
      { ...gemma, hidden_act: 'silu', hidden_activation: 'gelu_pytorch_tanh' },
      'hidden_act',
    ],
    ['a Gemma with exact GELU', { ...gemma, hidden_act: 'gelu', hidden_activation: 'gelu_fast' }, 'hidden_act'],
    ['a Gemma 2 with two windows', { ...gemma2, sliding_window_size: 16 }, 'sliding_window_size'],
    ['a Gemma 2 that cannot slide', { ...gemma2, sliding_window: null }, 'sliding_window'],
    ['a Gemma 2 with no scale', { ...gemma2, query_pre_attn_scalar: null }, 'query_pre_attn_scalar'],
    ['a Gemma 2 with a negative cap', { ...gemma2, attn_logit_softcapping: -5 }, 'attn_logit_softcapping'],
    ['a Gemma 2 with a cap in words', { ...gemma2, final_logit_softcapping: 'none' }, 'final_logit_softcapping'],
    // transformers keeps this field and computes no cap of it.
    ['a Gemma 3 with a cap on scores', { ...gemma3, attn_logit_softcapping: 50 }, 'attn_logit_softcapping'],
    ['a Gemma 3 that embeds', { ...gemma3, use_bidirectional_attention: true }, 'use_bidirectional_attention'],
    [
      'a Gemma 3 with one rotation for all its layers',
      { ...gemma3, rope_parameters: { rope_type: 'default', rope_theta: 10_000 } },
      'rope_parameters',
    ],
    [
      'a Gemma 3 stretched in a way nobody knows',
      { ...gemma3, rope_scaling: { rope_type: 'mrope', factor: 2 } },
      'rope_scaling',
    ],
    ['a Gemma 3 whose text part is no object', { ...gemma3, model_type: 'gemma3', text_config: 4 }, 'text_config'],
  ])('refuse %s by name', (_, raw, named) => {
    expect(() => find(raw)).toThrow(
      expect.objectContaining({ code: 'CONFIG_UNSUPPORTED', message: expect.stringContaining(named) }),
    )
  })

  it.each([
    ['no head dim', { ...qwen3, head_dim: undefined }],
    ['a window that is off', { ...qwen3, use_sliding_window: false, sliding_window: 4096, max_window_layers: 28 }],
    [
      'stretched angles',
      { ...qwen3, rope_scaling: { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 16 } },
    ],
    ['GELU in its first spelling', { ...gemma, hidden_act: 'gelu', hidden_activation: 'gelu_pytorch_tanh' }],
    ['GELU left to the default', { ...gemma, hidden_act: undefined, hidden_activation: null }],
    ["the first files' name of the window", { ...gemma2, sliding_window_size: 8, cache_implementation: 'hybrid' }],
    ['no caps', { ...gemma2, attn_logit_softcapping: null, final_logit_softcapping: null }],
    ['a cap on logits', { ...gemma3, attn_logit_softcapping: null, final_logit_softcapping: 30 }],
  ])('take one with %s', (_, raw) => {
    expect(() => find(raw)).not.toThrow()
  })

  it("computes GELU's tanh form whatever Gemma calls it, and the exact one where later generations name it", () => {
    expect(read({ ...gemma, hidden_act: 'gelu' }).activation).toBe('gelu_pytorch_tanh')
    expect(read({ ...gemma2, hidden_act: 'gelu' }).activation).toBe('gelu_pytorch_tanh')
    expect(read({ ...gemma2, hidden_activation: 'gelu' }).activation).toBe('gelu')
  })

  it('slide where their config.json says so, or their family does', () => {
    const on = { ...qwen3, use_sliding_window: true, sliding_window: 8, max_window_layers: 4 }
    expect(windows(on)).toEqual([null, null, null, null, 8, 8])
    expect(windows(qwen3)).toEqual(Array(6).fill(null))
    expect(windows(gemma2)).toEqual([8, null, 8, null, 8, null])
    expect(windows({ ...gemma2, sliding_window: undefined })[0]).toBe(4096)
    expect(windows(gemma3)).toEqual([8, 8, 8, 8, 8, null])
    expect(windows({ ...gemma3, sliding_window_pattern: 2 })).toEqual([8, null, 8, null, 8, null])
    const types = ['full_attention', ...Array(5).fill('sliding_attention')]
    for (const raw of [gemma2, gemma3]) expect(windows({ ...raw, layer_types: types })).toEqual([null, 8, 8, 8, 8, 8])
  })

  it('turn layers with a window by a base of their own in Gemma 3, in both spellings', () => {
    const local = { localTheta: 10_000 }
    const bases = (raw: Record<string, unknown>) =>
      [4, 5].map((layer) => {
        const { theta, scaling } = ropeOf(read(raw), layer, local)
        return [theta, scaling?.type ?? null]
      })
    expect(bases({ ...gemma3, rope_scaling: { rope_type: 'linear', factor: 8 } })).toEqual([
      [10_000, null],
      [1_000_000, 'linear'],
    ])
    expect(bases({ ...gemma3, rope_theta: 500, rope_local_base_freq: 20 })).toEqual([
      [20, null],
      [500, null],
    ])
    const typed = {
      full_attention: { rope_type: 'linear', rope_theta: 700, factor: 8 },
      sliding_attention: { rope_type: 'default', rope_theta: 30 },
    }
    expect(bases({ ...gemma3, rope_parameters: typed })).toEqual([
      [30, null],
      [700, 'linear'],
    ])
  })

  it("read gemma-3-4b's text part, whose sizes are those of the family, and keep its dtype and stop tokens", () => {
    const config = read(gemma3With4b)
    expect(config).toMatchObject({ layers: 34, heads: 8, headDim: 256, vocabularySize: 262_208, tiedEmbeddings: true })
    expect(config.attention.map(({ window }) => window).filter((window) => window === null)).toHaveLength(5)
    expect(config.attention[0]).toMatchObject({ kind: 'GQA', kvHeads: 4, window: 1024 })
    expect(config.raw).toMatchObject({ torch_dtype: 'bfloat16', eos_token_id: [1, 106], model_type: 'gemma3_text' })
    // 29 layers keep 1,024 tokens and 5 all of them: 2 x 4 x 256 values of 2 bytes a token and layer.
    const bytes = kvCacheBytes(config, { contextLength: 131_072, bitsPerValue: 16 })
    expect(bytes).toBe((29 * 1024 + 5 * 131_072) * 2 * 4 * 256 * 2)
  })

  it("vote by the family's default where gemma-3-4b's config.json is silent, and say that its pictures are not read", () => {
    const { votes, warnings } = detectAttention(read(gemma3With4b), null)
    expect(votes.map(({ kind }) => kind)).toEqual(['GQA'])
    expect(votes[0]?.evidence).toContain("4 by the family's default")
    expect(warnings.map(({ code }) => code)).toEqual(['TEXT_PART_ONLY'])
    expect(detectAttention(read(gemma3), null).warnings).toEqual([])
  })

  it('say themselves with fewer K/V heads, the nested one too', () => {
    for (const raw of [qwen3, gemma, gemma2, gemma3, gemma3With4b]) {
      const pooled = withKvHeads(read(raw), 1)
      expect(new Set(pooled.attention.map(({ kvHeads }) => kvHeads))).toEqual(new Set([1]))
      expect(pooled.attention.map(({ window }) => window)).toEqual(windows(raw))
      expect(read(pooled.raw)).toEqual(pooled)
    }
  })

  it('list norms of heads and norms around each part, gains of 1 + weight starting at zero', () => {
    const norms = (raw: Record<string, unknown>) =>
      expectedTensors(read(raw)).filter(({ name }) => name.includes('layers.0.') && name.includes('norm'))
    const heads = ['self_attn.q_norm', 'self_attn.k_norm']
    const two = ['input_layernorm', 'post_attention_layernorm']
    const four = [...two, 'pre_feedforward_layernorm', 'post_feedforward_layernorm']
    for (const [raw, parts, init] of [
      [qwen3, [...two, ...heads], 'ones'],
      [gemma, two, 'zeros'],
      [gemma2, four, 'zeros'],
      [gemma3, [...four, ...heads], 'zeros'],
    ] as const) {
      const names = parts.map((part) => `model.layers.0.${part}.weight`)
      expect(norms(raw).map(({ name }) => name)).toEqual(expect.arrayContaining(names))
      expect(norms(raw)).toHaveLength(parts.length)
      expect(new Set(norms(raw).map((tensor) => tensor.init))).toEqual(new Set([init]))
    }
    expect(norms(qwen3).find(({ name }) => name.includes('q_norm'))?.shape).toEqual([16])
  })
})
