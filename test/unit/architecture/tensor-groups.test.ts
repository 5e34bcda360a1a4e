import { describe, expect, it } from 'vitest'
import { expectedTensors } from '../../../src/architecture/expected-tensors.ts'
import { layerRanges } from '../../../src/architecture/layer-ranges.ts'
import { parameterCount, parametersByPart } from '../../../src/architecture/parameters.ts'
import { findPreset, presets } from '../../../src/architecture/presets.ts'
import { readModelConfig } from '../../../src/architecture/read-config.ts'
import { groupTensors } from '../../../src/architecture/tensor-groups.ts'

const configOf = (name: string) => readModelConfig(findPreset(name).config, name)
const tensorsOf = (name: string) => expectedTensors(configOf(name)).map((tensor) => ({ ...tensor, dtype: 'BF16' }))

describe('layerRanges', () => {
  it.each([
    [[0], '0'],
    [[0, 1], '0-1'],
    [[0, 1, 2, 5], '0-2, 5'],
    [[0, 2, 4, 6, 8], '0, 2, ..., 8'],
    [[5, 11, 17, 23], '5, 11, ..., 23'],
    [[0, 1, 3, 4, 6, 7, 9, 10, 12, 13], '0-1, 3-4, ..., 12-13'],
  ])('spells %j as %s', (layers, spelled) => {
    expect(layerRanges(layers)).toBe(spelled)
  })
})

describe('groupTensors', () => {
  it.each(presets.map(({ name }) => [name]))('loses no tensor of %s', (name) => {
    const tensors = tensorsOf(name)
    const groups = groupTensors(tensors)
    expect(groups.reduce((sum, group) => sum + group.tensors, 0)).toBe(tensors.length)
    expect(groups.length).toBeLessThan(40)
  })

  it('keeps apart what differs in shape or dtype', () => {
    const tensors = [
      { name: 'h.0.w', shape: [2, 3], dtype: 'F32' },
      { name: 'h.1.w', shape: [2, 3], dtype: 'F32' },
      { name: 'h.2.w', shape: [2, 4], dtype: 'F32' },
      { name: 'h.3.w', shape: [2, 3], dtype: 'F16' },
    ]
    expect(groupTensors(tensors)).toEqual([
      { name: 'h.{0-1}.w', shape: [2, 3], dtype: 'F32', tensors: 2 },
      { name: 'h.2.w', shape: [2, 4], dtype: 'F32', tensors: 1 },
      { name: 'h.3.w', shape: [2, 3], dtype: 'F16', tensors: 1 },
    ])
  })

  it("says which layers of DeepSeek-V3 have experts, in one line for all experts' gates", () => {
    const gates = groupTensors(tensorsOf('deepseek-v3')).find(({ name }) => name.includes('.experts.'))
    expect(gates).toMatchObject({ name: 'model.layers.{3-60}.mlp.experts.{0-255}.gate_proj.weight', tensors: 58 * 256 })
  })
})

describe('parametersByPart', () => {
  it.each(presets.map(({ name }) => [name]))('adds up to all parameters of %s', (name) => {
    const parts = parametersByPart(configOf(name))
    expect(parts.reduce((sum, part) => sum + part.parameters, 0)).toBe(parameterCount(configOf(name)))
    const names = parts.map((part) => part.name)
    expect(names).toEqual(expect.arrayContaining(['embeddings', 'attention', 'norms']))
    // Every layer of a Mixtral has experts in place of its MLP.
    expect(names.includes('MLP') || names.includes('experts')).toBe(true)
  })

  it('counts of gpt2 what its layers have', () => {
    expect(parametersByPart(configOf('gpt2')).map(({ name, parameters }) => [name, parameters])).toEqual([
      ['embeddings', (50_257 + 1024) * 768],
      ['attention', 12 * (768 * 2304 + 2304 + 768 * 768 + 768)],
      ['MLP', 12 * (2 * 768 * 3072 + 3072 + 768)],
      ['norms', 25 * 2 * 768],
    ])
  })

  it("tells DeepSeek-V3's routed experts from its shared ones and its router", () => {
    const parts = new Map(parametersByPart(configOf('deepseek-v3')).map((part) => [part.name, part]))
    expect(parts.get('experts')).toMatchObject({ parameters: 58 * 256 * 3 * 7168 * 2048 })
    expect(parts.get('shared experts')).toMatchObject({ parameters: 58 * 3 * 7168 * 2048 })
    expect(parts.get('router')).toMatchObject({ parameters: 58 * (256 * 7168 + 256) })
  })
})
