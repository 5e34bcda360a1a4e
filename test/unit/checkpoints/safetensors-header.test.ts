import { expect, it } from 'vitest'
import { safetensorsHeader, tensorBytes } from '../../../src/checkpoints/safetensors-header.ts'

it('places tensors of any dtype end to end, and pads its JSON with blanks to a multiple of 64', () => {
  const tensors = [
    { name: 'a', dtype: 'F64', shape: [3] },
    { name: 'b', dtype: 'F16', shape: [2, 5] },
    { name: 'c', dtype: 'I64', shape: [] },
    { name: 'd', dtype: 'F32', shape: [0, 7] },
  ]
  const header = safetensorsHeader(tensors, { format: 'kvscope' })
  expect(header.length % 64).toBe(0)
  expect(header.readBigUInt64LE()).toBe(BigInt(header.length - 8))
  const text = header.toString('utf8', 8)
  expect(text).toMatch(/^\{.*\} *$/)
  expect(JSON.parse(text)).toEqual({
    __metadata__: { format: 'kvscope' },
    a: { dtype: 'F64', shape: [3], data_offsets: [0, 24] },
    b: { dtype: 'F16', shape: [2, 5], data_offsets: [24, 44] },
    c: { dtype: 'I64', shape: [], data_offsets: [44, 52] },
    d: { dtype: 'F32', shape: [0, 7], data_offsets: [52, 52] },
  })
})

it('refuses one name twice, and a dtype that the format has not', () => {
  const twice = { name: 'a', dtype: 'F32', shape: [1] }
  expect(() => safetensorsHeader([twice, twice], {})).toThrow('tensor "a" is to be written twice')
  expect(() => tensorBytes({ dtype: 'F128', shape: [1] })).toThrow('safetensors has no dtype F128')
})
