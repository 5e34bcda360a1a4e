import { describe, expect, it } from 'vitest'
import { readModelConfig } from '../../../src/architecture/read-config.ts'
import { ropeOf } from '../../../src/architecture/rope.ts'

const llama = {
  model_type: 'llama',
  num_hidden_layers: 2,
  num_attention_heads: 4,
  hidden_size: 32,
  intermediate_size: 64,
  max_position_embeddings: 4096,
  vocab_size: 99,
}
const read = (fields: Record<string, unknown>) => readModelConfig({ ...llama, ...fields }, 'tiny')
const rope = (fields: Record<string, unknown>) => ropeOf(read(fields))

describe('the rotary embedding of a config', () => {
  it.each([
    { type: 'linear', factor: 2 },
    { type: 'dynamic', factor: 2 },
    { type: 'yarn', factor: 4, original_max_position_embeddings: 1024, mscale: 0.7, mscale_all_dim: 0.7 },
    { type: 'llama3', factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 1024 },
    { type: 'longrope', short_factor: [1, 1, 1, 1], long_factor: [2, 3, 4, 5], original_max_position_embeddings: 1024 },
  ])('is the same in both spellings of $type', ({ type, ...fields }) => {
    const older = rope({ rope_theta: 7000, rope_scaling: { type, ...fields } })
    expect(older).toMatchObject({ width: 8, theta: 7000, scaling: { type } })
    expect(rope({ rope_theta: 7000, rope_scaling: { rope_type: type, ...fields } })).toEqual(older)
    expect(rope({ rope_parameters: { rope_theta: 7000, rope_type: type, ...fields } })).toEqual(older)
  })

  it('is that of rope_parameters beside a rope_scaling that says nothing', () => {
    const parameters = { rope_theta: 5000, rope_type: 'linear', factor: 2 }
    expect(rope({ rope_parameters: parameters, rope_scaling: {} })).toMatchObject({ theta: 5000 })
  })

  it('takes the length beside the rotary fields before the one among them, as transformers does', () => {
    const among = { type: 'yarn', factor: 4, original_max_position_embeddings: 512 }
    expect(rope({ rope_scaling: among }).scaling).toMatchObject({ originalLength: 512 })
    expect(rope({ rope_scaling: among, original_max_position_embeddings: 256 }).scaling).toMatchObject({
      originalLength: 256,
    })
  })

  it("knows longrope by its first name, and by Phi-3's default length", () => {
    const config = read({ rope_scaling: { type: 'su', short_factor: [1, 1, 1, 1], long_factor: [2, 2, 2, 2] } })
    expect(ropeOf(config, undefined, { originalLength: 1024 }).scaling).toMatchObject({
      type: 'longrope',
      originalLength: 1024,
      attentionFactor: Math.sqrt(1 + Math.log(4) / Math.log(1024)),
    })
  })

  it("gives YaRN's temperature once its two weights differ", () => {
    const yarn = (fields: Record<string, unknown>) =>
      rope({ rope_scaling: { type: 'yarn', factor: 40, original_max_position_embeddings: 4096, ...fields } }).scaling
    expect(yarn({})).toMatchObject({ attentionFactor: 0.1 * Math.log(40) + 1 })
    expect(yarn({ mscale: 0.7, mscale_all_dim: 0.7 })).toMatchObject({ attentionFactor: 1, mscaleAllDim: 0.7 })
    expect(yarn({ mscale: 1, mscale_all_dim: 0 })).toMatchObject({ attentionFactor: 0.1 * Math.log(40) + 1 })
  })

  it('turns layers that slide by a base of their own, in both spellings', () => {
    const config = (fields: Record<string, unknown>) => ({
      ...read({ rope_theta: 1e6, ...fields }),
      attention: read({}).attention.map((shape, layer) => ({ ...shape, window: layer === 0 ? 16 : null })),
    })
    const older = config({ rope_local_base_freq: 9000, rope_scaling: { rope_type: 'linear', factor: 8 } })
    const newer = config({
      rope_parameters: {
        sliding_attention: { rope_type: 'default', rope_theta: 9000 },
        full_attention: { rope_type: 'linear', rope_theta: 1e6, factor: 8 },
      },
    })
    for (const either of [older, newer]) {
      expect(ropeOf(either, 0)).toEqual({ width: 8, theta: 9000 })
      expect(ropeOf(either, 1)).toEqual({ width: 8, theta: 1e6, scaling: { type: 'linear', factor: 8 } })
    }
    expect(ropeOf(config({}), 0, { localTheta: 5000 })).toEqual({ width: 8, theta: 5000 })
    expect(ropeOf(config({}), 0)).toEqual({ width: 8, theta: 1e6 })
  })

  it('takes what dynamic scaling and YaRN are made for as its context', () => {
    expect(read({ rope_scaling: { type: 'dynamic', factor: 2 } }).contextLength).toBe(8192)
    expect(rope({ rope_scaling: { type: 'dynamic', factor: 2 } }).scaling).toMatchObject({ trainedLength: 4096 })
    const yarn = { type: 'yarn', factor: 4, original_max_position_embeddings: 4096 }
    expect(read({ rope_scaling: yarn }).contextLength).toBe(16_384)
    expect(read({ rope_scaling: yarn, max_position_embeddings: 8192 }).contextLength).toBe(8192)
    expect(read({ rope_scaling: { type: 'linear', factor: 2 } }).contextLength).toBe(4096)
  })

  it.each([
    ['a part that leaves an odd number', { partial_rotary_factor: 0.4 }, 'partial_rotary_factor'],
    ['a part beyond the whole', { rope_parameters: { partial_rotary_factor: 2 } }, 'partial_rotary_factor'],
    ['a factor that is no number', { rope_scaling: { type: 'linear', factor: '2' } }, 'rope_scaling.factor'],
    [
      'dynamic scaling of two values',
      { rope_scaling: { type: 'dynamic', factor: 2 }, partial_rotary_factor: 0.25 },
      'rope_scaling.type',
    ],
    ['a field of another scaling', { rope_scaling: { type: 'linear', factor: 2, beta_fast: 3 } }, 'beta_fast'],
    ['a base below zero', { rope_parameters: { rope_theta: -1 } }, 'rope_parameters.rope_theta'],
    [
      'a dynamic length that nobody reads',
      { rope_scaling: { type: 'dynamic', factor: 2, original_max_position_embeddings: 9 } },
      'original_max_position_embeddings',
    ],
    [
      'types of layers beside a base',
      { rope_parameters: { full_attention: {}, rope_theta: 3 } },
      'rope_parameters.rope_theta',
    ],
  ])('refuses %s by name', (_, fields, named) => {
    expect(() => rope(fields)).toThrow(
      expect.objectContaining({ code: 'CONFIG_UNSUPPORTED', message: expect.stringContaining(named) }),
    )
  })
})
