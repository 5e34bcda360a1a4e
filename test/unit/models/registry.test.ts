import { describe, expect, it } from 'vitest'
import { runnableFamilies } from '../../../src/architecture/families.ts'
import type { ModelConfig } from '../../../src/architecture/model-config.ts'
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
const bigCode = { ...gpt2, model_type: 'gpt_bigcode', multi_query: true }
const falcon7b = {
  model_type: 'falcon',
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_kv_heads: 4,
  hidden_size: 32,
  vocab_size: 99,
  alibi: false,
  bias: false,
  multi_query: true,
  new_decoder_architecture: false,
  parallel_attn: true,
}
const falconRw = { ...falcon7b, alibi: true, bias: true, multi_query: false, parallel_attn: false }
const falcon40b = { ...falcon7b, new_decoder_architecture: true, num_kv_heads: 2 }
const find = (raw: Record<string, unknown>) => findFamily(readModelConfig(raw, 'tiny'))

describe('the families that can be run', () => {
  it('are found by the config', () => {
    expect(families.map((family) => family.family).sort()).toEqual([...runnableFamilies].sort())
    expect(find(gpt2).family).toBe('gpt2')
    expect(find(llama).family).toBe('llama')
    expect(find(bigCode).family).toBe('gpt_bigcode')
    for (const raw of [falconRw, falcon7b, falcon40b]) expect(find(raw).family).toBe('falcon')
  })

  it.each([
    [{ rope_scaling: { type: 'linear' } }, 'rope_scaling.factor'],
    [{ rope_scaling: { type: 'mrope', factor: 2 } }, 'rope_scaling.rope_type'],
    [{ rope_scaling: { type: 'mrope', rope_type: 'default' } }, 'rope_scaling.type'],
    [{ rope_scaling: { rope_type: 'default', mrope_section: [1, 2] } }, 'rope_scaling.mrope_section'],
    [{ rope_scaling: { rope_type: 'llama3', factor: 8 } }, 'rope_scaling.low_freq_factor'],
    [{ rope_parameters: { rope_type: 'yarn', rope_theta: 10_000 } }, 'rope_parameters.factor'],
    [{ rope_parameters: { rope_type: 'linear', factor: 2, partial_rotary_factor: 0.5 } }, 'partial_rotary_factor'],
    [{ rope_scaling: { rope_type: 'longrope', short_factor: [1], long_factor: [2] } }, 'rope_scaling.short_factor'],
    [{ rope_scaling: { type: 'linear', factor: 2 }, rope_parameters: { factor: 3 } }, 'rope_scaling'],
    [{ rope_scaling: 'linear' }, 'rope_scaling'],
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
    { rope_scaling: { type: 'linear', factor: 2 } },
    { rope_parameters: { rope_type: 'dynamic', factor: 4, rope_theta: 10_000 } },
    { rope_scaling: { type: 'yarn', factor: 4, original_max_position_embeddings: 16, finetuned: true } },
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

  it.each([
    ['alibi and the new decoder', { ...falcon40b, alibi: true }, 'alibi'],
    ['the new decoder in sequence', { ...falcon40b, parallel_attn: false }, 'parallel_attn'],
    ['three layer norms', { ...falcon40b, num_ln_in_parallel_attn: 3 }, 'num_ln_in_parallel_attn'],
    ['two layer norms before the new decoder', { ...falcon7b, num_ln_in_parallel_attn: 2 }, 'num_ln_in_parallel_attn'],
    ['alibi beside a parallel MLP', { ...falconRw, parallel_attn: true }, 'alibi'],
    ['rotary heads in sequence', { ...falcon7b, parallel_attn: false }, 'parallel_attn'],
    ['a K/V head for each rotary head', { ...falcon7b, multi_query: false }, 'multi_query'],
    ['stretched rotary angles', { ...falcon7b, rope_scaling: { type: 'linear', factor: 2 } }, 'rope_scaling.type'],
    ['stretched angles that ALiBi would ignore', { ...falconRw, rope_scaling: { type: 'yarn' } }, 'rope_scaling.type'],
    [
      'a head dim that cannot be turned',
      { ...falcon7b, hidden_size: 36, num_attention_heads: 4 },
      'num_attention_heads',
    ],
    [
      'residuals after the layer norm',
      { ...falconRw, apply_residual_connection_post_layernorm: true },
      'apply_residual_connection_post_layernorm',
    ],
    ['another activation', { ...falcon7b, activation: 'mish' }, 'mish'],
    ['quantised weights', { ...falcon7b, quantization_config: { bits: 4 } }, 'quantization_config'],
    ['a bias that is no flag', { ...falcon7b, bias: 'yes' }, 'bias'],
  ])('refuse a Falcon with %s by name', (_, raw, named) => {
    expect(() => find(raw)).toThrow(
      expect.objectContaining({ code: 'CONFIG_UNSUPPORTED', message: expect.stringContaining(named) }),
    )
  })

  it.each([
    ['the hub spelling RefinedWebModel', { ...falcon7b, model_type: 'RefinedWebModel' }],
    ['one layer norm said', { ...falcon7b, num_ln_in_parallel_attn: 1 }],
    ['plain rotary parameters', { ...falcon7b, rope_parameters: { rope_type: 'default', rope_theta: 10_000 } }],
    [
      'rotary parameters that ALiBi leaves unread',
      { ...falconRw, rope_parameters: { rope_type: 'default', rope_theta: 1 } },
    ],
    ['ALiBi and one K/V head, which converting falcon-rw makes', { ...falconRw, multi_query: true }],
    ['a layer norm for both branches of the new decoder', { ...falcon40b, num_ln_in_parallel_attn: 1 }],
  ])('take a Falcon with %s', (_, raw) => {
    expect(find(raw).family).toBe('falcon')
  })

  it.each([
    [{ scale_attn_weights: false }, 'scale_attn_weights'],
    [{ add_cross_attention: true }, 'add_cross_attention'],
    [{ quantization_config: { bits: 4 } }, 'quantization_config'],
    [{ activation_function: 'mish' }, 'mish'],
  ])('refuse a GPT-BigCode with %o by name', (fields, named) => {
    expect(() => find({ ...bigCode, ...fields })).toThrow(
      expect.objectContaining({ code: 'CONFIG_UNSUPPORTED', message: expect.stringContaining(named) }),
    )
  })

  it('refuse a family that can only be looked at, and say which can be run', () => {
    // As a later version may have stored it.
    const config: ModelConfig = JSON.parse(JSON.stringify({ ...readModelConfig(llama, 'tiny'), family: 'mamba' }))
    expect(() => findFamily(config)).toThrow(
      expect.objectContaining({
        code: 'CONFIG_UNSUPPORTED',
        hint: expect.stringMatching(/^It runs gpt2, .*llama, .*; sizes can be looked at for more/),
      }),
    )
  })
})
