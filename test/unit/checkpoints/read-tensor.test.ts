import { truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { TensorEntry, WeightDtype } from '../../../src/checkpoints/checkpoint.ts'
import { readTensor, readValues } from '../../../src/checkpoints/read-tensor.ts'
import { makeFolder } from './safetensors-file.ts'

/** A file of three bytes of something else and then these bytes, so that reading must mind an odd offset. */
async function store(dtype: WeightDtype, bytes: Uint8Array): Promise<TensorEntry> {
  const file = join(await makeFolder(), 'tensor')
  await writeFile(file, Buffer.concat([Buffer.from('odd'), bytes]))
  const width = dtype === 'F32' ? 4 : 2
  return { name: 't', dtype, shape: [bytes.length / width], file, offset: 3, length: bytes.length }
}

describe('readTensor', () => {
  it('reads f32 as it stands', async () => {
    const values = Float32Array.of(1, -2.5, 3e-38, Number.POSITIVE_INFINITY)
    expect(await readTensor(await store('F32', new Uint8Array(values.buffer)))).toEqual(values)
  })

  it('widens every kind of half: zeros, subnormals, the largest, infinities, not a number', async () => {
    const bits = Uint16Array.of(0x0000, 0x8000, 0x0001, 0x03ff, 0x0400, 0x3555, 0xc000, 0x7bff, 0x7c00, 0xfc00, 0x7e00)
    const values = await readTensor(await store('F16', new Uint8Array(bits.buffer)))
    const { NEGATIVE_INFINITY, POSITIVE_INFINITY, NaN: notANumber } = Number
    const wanted = [0, -0, 2 ** -24, 1023 * 2 ** -24, 2 ** -14, 0x555 / 4096, -2, 65504]
    expect([...values]).toEqual([...wanted, POSITIVE_INFINITY, NEGATIVE_INFINITY, notANumber])
  })

  it('widens bf16 by its upper half', async () => {
    const exact = Float32Array.of(1, -3.140625, 2 ** 100, 2 ** -130, Number.NEGATIVE_INFINITY)
    const bits = Uint16Array.from(new Uint32Array(exact.buffer), (word) => word >>> 16)
    expect(await readTensor(await store('BF16', new Uint8Array(bits.buffer)))).toEqual(exact)
  })

  it('reads a piece from the middle', async () => {
    const bits = Uint16Array.of(0x3c00, 0x4000, 0x4200, 0x4400)
    expect([...(await readValues(await store('F16', new Uint8Array(bits.buffer)), 1, 2))]).toEqual([2, 3])
  })

  it('says so when the file has become shorter', async () => {
    const entry = await store('F32', new Uint8Array(16))
    await truncate(entry.file, 10)
    await expect(readTensor(entry)).rejects.toMatchObject({
      code: 'CHECKPOINT_INVALID',
      message: expect.stringContaining('inside tensor "t"'),
    })
  })
})
