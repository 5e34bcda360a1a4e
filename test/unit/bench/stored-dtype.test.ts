import { describe, expect, it } from 'vitest'
import { expectedTensors } from '../../../src/architecture/expected-tensors.ts'
import { findPreset } from '../../../src/architecture/presets.ts'
import { readModelConfig } from '../../../src/architecture/read-config.ts'
import { storedDtype } from '../../../src/bench/stored-dtype.ts'
import type { TensorEntry, WeightDtype } from '../../../src/checkpoints/checkpoint.ts'

const gpt2 = readModelConfig(findPreset('gpt2').config, 'gpt2')

function entry(name: string, shape: readonly number[], dtype: WeightDtype): [string, TensorEntry] {
  const length = shape.reduce((product, size) => product * size, dtype === 'F32' ? 4 : 2)
  return [name, { name, dtype, shape: [...shape], file: 'model.safetensors', offset: 0, length }]
}
const stored = (dtypeOf: (name: string) => WeightDtype) =>
  new Map(expectedTensors(gpt2).map(({ name, shape }) => entry(name, shape, dtypeOf(name))))

describe('storedDtype', () => {
  it('is the dtype of most bytes where a conversion left some tensors in F32', () => {
    const tensors = stored((name) => (name.includes('attn.c_attn') ? 'F32' : 'BF16'))
    expect(storedDtype({ tensors }, gpt2)).toBe('BF16')
  })
  it('does not count masks, however large', () => {
    const tensors = stored(() => 'F16')
    tensors.set(...entry('h.0.attn.bias', [1, 1, 65_536, 65_536], 'F32'))
    expect(storedDtype({ tensors }, gpt2)).toBe('F16')
  })
})
