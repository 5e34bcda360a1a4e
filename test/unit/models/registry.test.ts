import { describe, expect, it } from 'vitest'
import { readModelConfig } from '../../../src/architecture/read-config.ts'
import { families, findFamily } from '../../../src/models/registry.ts'

const gpt2 = { model_type: 'gpt2', n_layer: 2, n_head: 4, n_embd: 32, n_positions: 64, vocab_size: 99 }
const llama = {
  model_type: 'llama',
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  hidden_size: 32,
  intermediate_size: 64,
  max_position_embeddings: 64,
  vocab_size: 99,
  rms_norm_eps: 1e-5,
  hidden_act: 'silu',
  rope_theta: 10_000,
  tie_word_embeddings: false,
}
const find = (raw: Record<string, unknown>) => findFamily(readModelConfig(raw, 'tiny'))

describe('the families that can be run', () => {
  it('are found by the config', () => {
    expect(families.map((family) => family.family)).toEqual(['gpt2', 'llama'])
    expect(find(gpt2).family).toBe('gpt2')
    expect(find(llama).family).toBe('llama')
  })

  it.each([
    [{ rope_scaling: { type: 'linear', factor: 2 } }, 'rope_scaling.type'],
    [{ rope_scaling: { rope_type: 'llama3', factor: 8 } }, 'rope_scaling.rope_type'],
    [{ rope_parameters: { rope_type: 'yarn', rope_theta: 10_000 } }, 'rope_parameters.rope_type'],
    [{ hidden_act: 'quick_gelu' }, 'quick_gelu'],
    [{ sliding_window: 16 }, 'sliding_window'],
    [{ partial_rotary_factor: 0.5 }, 'partial_rotary_factor'],
    [{ quantization_config: { bits: 4 } }, 'quantization_config'],
  ])('refuse a Llama with %o by name', (fields, named) => {
    expect(() => find({ ...llama, ...fields })).toThrow(
      expect.objectContaining({ code: 'CONFIG_UNSUPPORTED', message: expect.stringContaining(named) }),
    )
  })

  it.each([
    { rope_scaling: null },
    { rope_scaling: { rope_type: 'default' } },
    { rope_theta: undefined, rope_parameters: { rope_type: 'default', rope_theta: 500_000 } },
    { attention_bias: true, mlp_bias: true },
    { num_key_value_heads: 1 },
    { sliding_window: null, use_sliding_window: false },
  ])('take a Llama with %o', (fields) => {
    expect(find({ ...llama, ...fields }).family).toBe('llama')
  })

  it.each([
    [{ activation_function: 'mish' }, 'mish'],
    [{ scale_attn_by_inverse_layer_idx: true }, 'scale_attn_by_inverse_layer_idx'],
    [{ scale_attn_weights: false }, 'scale_attn_weights'],
    [{ add_cross_attention: true }, 'add_cross_attention'],
  ])('refuse a GPT-2 with %o by name', (fields, named) => {
    expect(() => find({ ...gpt2, ...fields })).toThrow(
      expect.objectContaining({ code: 'CONFIG_UNSUPPORTED', message: expect.stringContaining(named) }),
    )
  })

  it('refuse a family that can only be looked at, and say which can be run', () => {
    const config = { ...readModelConfig(llama, 'tiny'), family: 'falcon' as const }
    expect(() => findFamily(config)).toThrow(
      expect.objectContaining({ code: 'CONFIG_UNSUPPORTED', hint: expect.stringContaining('gpt2, llama') }),
    )
  })
})
