import { describe, expect, it } from 'vitest'
import { readModelConfig } from '../../../src/architecture/read-config.ts'
import { findFamily } from '../../../src/models/registry.ts'

const llamaLike = {
  ...{ num_hidden_layers: 4, num_attention_heads: 4, num_key_value_heads: 2, hidden_size: 32, intermediate_size: 64 },
  ...{ max_position_embeddings: 64, vocab_size: 99 },
}
const mistral = { ...llamaLike, model_type: 'mistral', sliding_window: 8 }
const qwen2 = { ...llamaLike, model_type: 'qwen2' }
const starcoder2 = { ...llamaLike, model_type: 'starcoder2', sliding_window: 8 }
const gptNeo = {
  ...{ model_type: 'gpt_neo', num_layers: 4, num_heads: 4, hidden_size: 32, max_position_embeddings: 64 },
  ...{ vocab_size: 99, window_size: 8, attention_types: [[['global', 'local'], 2]] },
}
const find = (raw: Record<string, unknown>) => findFamily(readModelConfig(raw, 'tiny'))
const windows = (raw: Record<string, unknown>) => readModelConfig(raw, 'tiny').attention.map(({ window }) => window)

describe('families with windows', () => {
  it('are found by the config', () => {
    for (const raw of [mistral, qwen2, starcoder2, gptNeo]) expect(find(raw).family).toBe(raw.model_type)
  })

  it.each([
    ['a Mistral with a bias', { ...mistral, attention_bias: true }, 'attention_bias'],
    ['a Mistral whose window is off', { ...mistral, use_sliding_window: false }, 'use_sliding_window'],
    ['a Mistral that is quantised', { ...mistral, quantization_config: { bits: 4 } }, 'quantization_config'],
    ['a Mistral with half a rotation', { ...mistral, partial_rotary_factor: 0.5 }, 'partial_rotary_factor'],
    ['a Qwen2 without biases', { ...qwen2, attention_bias: false }, 'attention_bias'],
    ['a Qwen2 with positions of three kinds', { ...qwen2, use_mrope: true }, 'use_mrope'],
    ['a Qwen2 in chunks', { ...qwen2, dual_chunk_attention_config: { chunk_size: 4 } }, 'dual_chunk_attention_config'],
    ['a Qwen2 with another activation', { ...qwen2, hidden_act: 'mish' }, 'mish'],
    ['a StarCoder2 with RMS norms', { ...starcoder2, norm_type: 'rms_norm' }, 'norm_type'],
    ['a StarCoder2 with a gated MLP', { ...starcoder2, mlp_type: 'gated' }, 'mlp_type'],
    ['a StarCoder2 whose biases are no flag', { ...starcoder2, use_bias: 'yes' }, 'use_bias'],
    ['a GPT-Neo with a window of another name', { ...gptNeo, sliding_window: 8 }, 'sliding_window'],
    ['a GPT-Neo whose two counts of heads differ', { ...gptNeo, num_attention_heads: 8 }, 'num_attention_heads'],
    ['a GPT-Neo whose two counts of layers differ', { ...gptNeo, num_hidden_layers: 8 }, 'num_hidden_layers'],
    ['a GPT-Neo with another activation', { ...gptNeo, activation_function: 'mish' }, 'mish'],
    ['a GPT-Neo with too few kinds of layers', { ...gptNeo, attention_types: [[['global'], 3]] }, 'attention_types'],
    [
      'a GPT-Neo with a kind of layer of its own',
      { ...gptNeo, attention_types: [[['strided'], 4]] },
      'attention_types',
    ],
    ['a GPT-Neo with a billion layers', { ...gptNeo, attention_types: [[['local'], 1e9]] }, 'attention_types'],
    [
      'a GPT-Neo that lists its layers otherwise',
      { ...gptNeo, attention_layers: ['local', 'global', 'local', 'global'] },
      'attention_layers',
    ],
  ])('refuse %s by name', (_, raw, named) => {
    expect(() => find(raw)).toThrow(
      expect.objectContaining({ code: 'CONFIG_UNSUPPORTED', message: expect.stringContaining(named) }),
    )
  })

  it("read GPT-Neo's kinds of layers in the hub's spelling", () => {
    expect(windows(gptNeo)).toEqual([null, 8, null, 8])
    const blocks = [
      [['local'], 1],
      [['global'], 3],
    ]
    expect(windows({ ...gptNeo, attention_types: blocks })).toEqual([8, null, null, null])
    const spelled = {
      ...gptNeo,
      num_heads: undefined,
      num_layers: undefined,
      num_attention_heads: 4,
      num_hidden_layers: 4,
    }
    expect(windows(spelled)).toEqual([null, 8, null, 8])
    expect(windows({ ...gptNeo, attention_types: undefined, num_layers: 24, window_size: undefined })).toEqual(
      Array.from({ length: 24 }, (_, layer) => (layer % 2 === 0 ? null : 256)),
    )
  })
})
