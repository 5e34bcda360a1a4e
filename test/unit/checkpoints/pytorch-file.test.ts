import { copyFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openCheckpoint } from '../../../src/checkpoints/open.ts'
import { readTensor } from '../../../src/checkpoints/read-tensor.ts'
import { pytorchFile, stateDict, tensorOp, zipOf } from '../../support/pytorch-archive.ts'
import { makeFolder } from './safetensors-file.ts'

async function folderWith(files: Record<string, string | Buffer>): Promise<string> {
  const folder = await makeFolder()
  for (const [name, content] of Object.entries({ 'config.json': '{"model_type":"gpt2"}', ...files })) {
    await writeFile(join(folder, name), content)
  }
  return folder
}

const oneTensor = (name: string, values: number[]) =>
  pytorchFile([{ name, shape: [values.length], values: Float32Array.from(values) }])

describe('a pytorch_model.bin', () => {
  it('that torch wrote is read in place: views, tied weights, parameters and 16 bits among it', async () => {
    const folder = await folderWith({})
    const file = join(folder, 'pytorch_model.bin')
    await copyFile(new URL('../../golden/torch-state-dict.bin', import.meta.url), file)
    const { tensors, unread } = await openCheckpoint(folder)
    const values = async (name: string) => {
      const entry = tensors.get(name)
      return entry ? [...(await readTensor(entry))] : null
    }
    expect(await values('weight')).toEqual([0, 1, 2, 3, 4, 5])
    expect(await values('bias')).toEqual([-1, 0.5])
    expect(await values('part')).toEqual([8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19])
    expect(await values('tied')).toEqual([0, 1, 2, 3, 4, 5])
    expect(await values('half')).toEqual([0.5, -2])
    expect(await values('brain')).toEqual([1, -3])
    expect(await values('scalar')).toEqual([-10_000])
    expect(await values('empty')).toEqual([])
    expect(tensors.get('brain')).toMatchObject({ dtype: 'BF16', shape: [1, 2], file })
    expect(tensors.get('tied')?.offset).toBe(tensors.get('weight')?.offset)
    expect((tensors.get('weight')?.offset ?? 1) % 64).toBe(0)
    expect(unread?.get('mask')).toMatchObject({ dtype: 'BOOL', shape: [2, 2] })
  })

  it('is left alone where safetensors are there', async () => {
    const folder = await folderWith({ 'pytorch_model.bin': 'anything' })
    const header = JSON.stringify({ a: { dtype: 'F32', shape: [1], data_offsets: [0, 4] } })
    const prefix = Buffer.alloc(8)
    prefix.writeBigUInt64LE(BigInt(header.length))
    await writeFile(join(folder, 'model.safetensors'), Buffer.concat([prefix, Buffer.from(header), Buffer.alloc(4)]))
    expect([...(await openCheckpoint(folder)).tensors.keys()]).toEqual(['a'])
  })

  it('may be sharded, and every tensor of the index must be there', async () => {
    const index = {
      weight_map: { 'transformer.a': 'pytorch_model-00001-of-00002.bin', b: 'pytorch_model-00002-of-00002.bin' },
    }
    const files = {
      'pytorch_model.bin.index.json': JSON.stringify(index),
      'pytorch_model-00001-of-00002.bin': oneTensor('transformer.a', [1, 2]),
      'pytorch_model-00002-of-00002.bin': oneTensor('b', [3]),
    }
    expect([...(await openCheckpoint(await folderWith(files))).tensors.keys()]).toEqual(['a', 'b'])
    const lacking = { ...files, 'pytorch_model-00002-of-00002.bin': oneTensor('c', [3]) }
    await expect(openCheckpoint(await folderWith(lacking))).rejects.toThrow(/tensor "b" into pytorch_model-00002/)
  })

  it('has a fingerprint that other names and other values change', async () => {
    const print = async (file: Buffer) =>
      (await openCheckpoint(await folderWith({ 'pytorch_model.bin': file }))).fingerprint
    const first = await print(oneTensor('a', [1, 2]))
    expect(await print(oneTensor('a', [1, 2]))).toBe(first)
    expect(await print(oneTensor('b', [1, 2]))).not.toBe(first)
    expect(await print(oneTensor('a', [1, 3]))).not.toBe(first)
  })

  it('may not be a link that leads out of the folder', async () => {
    const elsewhere = await folderWith({ 'weights.bin': oneTensor('a', [1]) })
    const folder = await folderWith({})
    await symlink(join(elsewhere, 'weights.bin'), join(folder, 'pytorch_model.bin'))
    await expect(openCheckpoint(folder)).rejects.toMatchObject({ code: 'PATH_FORBIDDEN' })
  })

  it('takes the stride of an axis of one for nothing, as torch does', async () => {
    const view = tensorOp({ key: '0', count: 2, shape: [2, 1], strides: [1, 7] })
    const file = zipOf([
      { name: 'x/data.pkl', bytes: stateDict([['a', view]]) },
      { name: 'x/data/0', bytes: Buffer.alloc(8) },
    ])
    expect((await openCheckpoint(await folderWith({ 'pytorch_model.bin': file }))).tensors.get('a')?.shape).toEqual([
      2, 1,
    ])
  })

  it('may have 64-bit sizes, as files above 4 GB have', async () => {
    const values = Buffer.from(Float32Array.from([1, 2]).buffer)
    const view = tensorOp({ key: '0', count: 2, shape: [2], strides: [1] })
    const file = zipOf(
      [
        { name: 'x/data.pkl', bytes: stateDict([['a', view]]) },
        { name: 'x/data/0', bytes: values },
      ],
      { wide: true },
    )
    const entry = (await openCheckpoint(await folderWith({ 'pytorch_model.bin': file }))).tensors.get('a')
    expect(entry && [...(await readTensor(entry))]).toEqual([1, 2])
  })
})
