import { describe, expect, it } from 'vitest'
import { overridePreset } from '../../../src/architecture/preset-config.ts'

describe('overrides of a preset', () => {
  it('replace fields of its config.json', () => {
    const { config, raw } = overridePreset('gpt2', { n_layer: 2, num_key_value_heads: 3 })
    expect(config.layers).toBe(2)
    expect(config.attention.map(({ kvHeads }) => kvHeads)).toEqual([3, 3])
    expect(raw).toMatchObject({ n_layer: 2, n_head: 12 })
  })

  it('may set a field that the preset leaves out', () => {
    expect(overridePreset('gpt2', { n_inner: 64 }).config.intermediateSize).toBe(64)
    expect(overridePreset('llama-2-7b', { attention_bias: true }).raw).toHaveProperty('attention_bias', true)
  })

  it('are refused where nothing reads the field, by its name', () => {
    expect(() => overridePreset('gpt2', { n_hed: 4 })).toThrow(/"n_hed" is no field of gpt2/)
  })
})
