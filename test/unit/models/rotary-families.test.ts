import { describe, expect, it } from 'vitest'
import { readModelConfig } from '../../../src/architecture/read-config.ts'
import { ropeOf } from '../../../src/architecture/rope.ts'
import { findFamily } from '../../../src/models/registry.ts'

// Fields as the config.json of the named checkpoints on the hub have them, their sizes made small.
const neox = {
  model_type: 'gpt_neox', // EleutherAI/pythia-160m
  attention_bias: true,
  hidden_act: 'gelu',
  hidden_size: 64,
  intermediate_size: 96,
  layer_norm_eps: 1e-5,
  max_position_embeddings: 2048,
  num_attention_heads: 4,
  num_hidden_layers: 2,
  rotary_emb_base: 10_000,
  rotary_pct: 0.25,
  tie_word_embeddings: false,
  use_cache: true,
  use_parallel_residual: true,
  vocab_size: 99,
}
const phi2 = {
  model_type: 'phi', // microsoft/phi-2
  attention_dropout: 0,
  embd_pdrop: 0,
  hidden_act: 'gelu_new',
  hidden_size: 40,
  intermediate_size: 96,
  layer_norm_eps: 1e-5,
  max_position_embeddings: 2048,
  num_attention_heads: 4,
  num_hidden_layers: 2,
  num_key_value_heads: 4,
  partial_rotary_factor: 0.4,
  qk_layernorm: false,
  resid_pdrop: 0.1,
  rope_scaling: null,
  rope_theta: 10_000,
  tie_word_embeddings: false,
  vocab_size: 99,
}
const phi3 = {
  model_type: 'phi3', // microsoft/Phi-3-mini-128k-instruct
  attention_bias: false,
  hidden_act: 'silu',
  hidden_size: 32,
  intermediate_size: 96,
  max_position_embeddings: 131_072,
  num_attention_heads: 4,
  num_hidden_layers: 2,
  num_key_value_heads: 4,
  original_max_position_embeddings: 4096,
  rms_norm_eps: 1e-5,
  rope_scaling: { long_factor: [1, 2, 3, 4], short_factor: [1, 1, 1, 1], type: 'longrope' },
  rope_theta: 10_000,
  sliding_window: 262_144,
  tie_word_embeddings: false,
  vocab_size: 99,
}
const phi4mini = {
  ...phi3, // microsoft/Phi-4-mini-instruct
  full_attn_mod: 1,
  interpolate_factor: 1,
  lm_head_bias: false,
  mlp_bias: false,
  num_key_value_heads: 2,
  partial_rotary_factor: 0.75,
  rope_scaling: { long_factor: [1, 2, 3], short_factor: [1, 1, 1], type: 'longrope' },
  tie_word_embeddings: true,
}
const olmo2 = {
  model_type: 'olmo2', // allenai/OLMo-2-1124-7B
  attention_bias: false,
  attention_dropout: 0,
  hidden_act: 'silu',
  hidden_size: 32,
  intermediate_size: 96,
  max_position_embeddings: 4096,
  num_attention_heads: 4,
  num_hidden_layers: 2,
  num_key_value_heads: 4,
  rms_norm_eps: 1e-6,
  rope_scaling: null,
  rope_theta: 500_000,
  tie_word_embeddings: false,
  vocab_size: 99,
}
const find = (raw: Record<string, unknown>) => findFamily(readModelConfig(raw, 'tiny'))
const rope = (raw: Record<string, unknown>) => ropeOf(readModelConfig(raw, 'tiny'))

describe('GPT-NeoX, Phi, Phi-3 and OLMo 2', () => {
  it.each([
    ['pythia', neox],
    ['gpt-neox-20b, whose activation is GELU by another name', { ...neox, hidden_act: 'gelu_fast' }],
    ['RedPajama, in sequence', { ...neox, use_parallel_residual: false, rotary_pct: 1 }],
    ['pythia as transformers 4.50 saves it', { ...neox, rope_theta: 10_000, partial_rotary_factor: 0.25 }],
    [
      'pythia as transformers 5 saves it',
      { ...neox, rotary_pct: undefined, rotary_emb_base: undefined, rope_parameters: { partial_rotary_factor: 0.25 } },
    ],
    ['phi-2', phi2],
    ['Phi-3-mini-128k', phi3],
    ['Phi-3-mini-128k in its first spelling', { ...phi3, rope_scaling: { ...phi3.rope_scaling, type: 'su' } }],
    ['Phi-3-mini-4k', { ...phi3, max_position_embeddings: 4096, rope_scaling: null, sliding_window: 2047 }],
    ['Phi-4-mini', phi4mini],
    ['OLMo 2', olmo2],
    ['OLMo 2 with stretched angles', { ...olmo2, rope_scaling: { type: 'linear', factor: 2 } }],
  ])('take %s', (_, raw) => {
    expect(find(raw).family).toBe(raw.model_type)
  })

  it.each([
    ['other bases in two spellings', { ...neox, rope_theta: 500 }, 'rope_theta'],
    ['a base that transformers would not read', { ...neox, rotary_emb_base: undefined, rope_theta: 500 }, 'rope_theta'],
    ['other parts in two spellings', { ...neox, partial_rotary_factor: 0.5 }, 'partial_rotary_factor'],
    ['a part that leaves an odd number', { ...neox, rotary_pct: 0.2 }, 'partial_rotary_factor'],
    ['a residual that is no flag', { ...neox, use_parallel_residual: 'yes' }, 'use_parallel_residual'],
    ['norms of queries and keys in Phi', { ...phi2, qk_layernorm: true }, 'qk_layernorm'],
    ['an activation in Phi', { ...phi2, hidden_act: 'quick_gelu' }, 'quick_gelu'],
    ['a Phi-3 stretched by YaRN', { ...phi3, rope_scaling: { type: 'yarn', factor: 4 } }, 'rope_scaling.type'],
    [
      'too few factors for the part that is turned',
      { ...phi4mini, rope_scaling: phi3.rope_scaling },
      'rope_scaling.short_factor',
    ],
    ['biases in Phi-3', { ...phi3, attention_bias: true }, 'attention_bias'],
    ['a bias of the head in Phi-4', { ...phi4mini, lm_head_bias: true }, 'lm_head_bias'],
    ['clipped projections in OLMo 2', { ...olmo2, clip_qkv: 8 }, 'clip_qkv'],
    ['heads turned in part in OLMo 2', { ...olmo2, partial_rotary_factor: 0.5 }, 'partial_rotary_factor'],
    ['quantised weights', { ...olmo2, quantization_config: { bits: 4 } }, 'quantization_config'],
  ])('refuse %s by name', (_, raw, named) => {
    expect(() => find(raw)).toThrow(
      expect.objectContaining({ code: 'CONFIG_UNSUPPORTED', message: expect.stringContaining(named) }),
    )
  })

  it('turn as much of each head as transformers does where config.json is silent', () => {
    expect(rope({ ...neox, rotary_pct: undefined })).toEqual({ width: 4, theta: 10_000 })
    expect(rope({ ...phi2, hidden_size: 64, partial_rotary_factor: undefined })).toEqual({ width: 8, theta: 10_000 })
    expect(rope({ ...phi3, original_max_position_embeddings: undefined }).scaling).toMatchObject({
      originalLength: 4096,
    })
  })

  it('read sizes, windows and context from their own fields', () => {
    expect(readModelConfig(phi4mini, 'tiny')).toMatchObject({ contextLength: 131_072, tiedEmbeddings: true })
    const windows = readModelConfig({ ...phi3, sliding_window: 2047 }, 'tiny').attention.map(({ window }) => window)
    expect(windows).toEqual([2047, 2047])
    expect(readModelConfig({ ...phi2, layer_norm_eps: 1e-3 }, 'tiny').normEpsilon).toBe(1e-3)
    expect(readModelConfig({ ...olmo2, rms_norm_eps: undefined }, 'tiny').normEpsilon).toBe(1e-5)
  })
})
