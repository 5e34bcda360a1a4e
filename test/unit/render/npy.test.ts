import { describe, expect, it } from 'vitest'
import { encodeNpy, littleEndianBytes, npyByteLength, npyHeader } from '../../../src/render/npy.ts'

describe('.npy files', () => {
  it('begin as numpy.lib.format says, with the data at a multiple of 64', () => {
    const header = npyHeader('float32', [50, 64])
    expect([...header.subarray(0, 8)]).toEqual([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0])
    expect(new DataView(header.buffer).getUint16(8, true)).toBe(header.length - 10)
    expect(header.length % 64).toBe(0)
    expect(Buffer.from(header.subarray(10)).toString().trimEnd()).toBe(
      "{'descr': '<f4', 'fortran_order': False, 'shape': (50, 64), }",
    )
    expect(header.at(-1)).toBe(0x0a)
  })

  it.each([
    ['float16', [3], "'<f2', 'fortran_order': False, 'shape': (3,), }"],
    ['uint8', [2, 3, 4], "'|u1', 'fortran_order': False, 'shape': (2, 3, 4), }"],
    ['int64', [], "'<i8', 'fortran_order': False, 'shape': (), }"],
  ] as const)('name %s of shape %j', (dtype, shape, expected) => {
    expect(Buffer.from(npyHeader(dtype, shape)).toString('latin1')).toContain(expected)
  })

  it('hold the values little-endian after the header, in as many parts as they came', () => {
    const parts = [Float32Array.of(1, 2), Float32Array.of(-0.5)]
    const file = Buffer.concat([...encodeNpy('float32', [3], parts)])
    expect(file.length).toBe(npyByteLength('float32', [3]))
    const start = npyHeader('float32', [3]).length
    expect([0, 4, 8].map((at) => file.readFloatLE(start + at))).toEqual([1, 2, -0.5])
    expect([...littleEndianBytes(BigInt64Array.of(258n))]).toEqual([2, 1, 0, 0, 0, 0, 0, 0])
    expect([...littleEndianBytes(Uint16Array.of(7, 0x3c00).subarray(1))]).toEqual([0, 0x3c])
  })

  it('refuse more or fewer values than their shape, and values of another width', () => {
    expect(() => [...encodeNpy('uint8', [4], [Uint8Array.of(1)])]).toThrow('has 4 values; 1 came')
    expect(() => [...encodeNpy('uint8', [1], [Uint8Array.of(1, 2)])]).toThrow('has 1 values; 2 came')
    expect(() => [...encodeNpy('float16', [1], [Float32Array.of(1)])]).toThrow('float16 got values of 4 bytes')
  })
})
