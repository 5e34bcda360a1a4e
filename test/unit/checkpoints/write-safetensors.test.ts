import { readdir, readFile, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ensureDiskSpace } from '../../../src/checkpoints/disk-space.ts'
import { openCheckpoint, syntheticKey } from '../../../src/checkpoints/open.ts'
import { readTensor } from '../../../src/checkpoints/read-tensor.ts'
import { type TensorToWrite, writeSafetensors } from '../../../src/checkpoints/write-safetensors.ts'
import { makeFolder } from './safetensors-file.ts'

/** A tensor whose value at each index is `first` + index. */
function counting(name: string, shape: number[], first: number): TensorToWrite {
  const fill = (out: Float32Array, start: number) => {
    for (let index = 0; index < out.length; index++) out[index] = first + start + index
  }
  return { name, shape, fill }
}

async function writeCheckpoint(tensors: TensorToWrite[], metadata: Record<string, string> = {}) {
  const folder = await makeFolder()
  await writeFile(join(folder, 'config.json'), '{}')
  await writeSafetensors(join(folder, 'model.safetensors'), tensors, metadata)
  return openCheckpoint(folder)
}

describe('writeSafetensors', () => {
  it('writes what openCheckpoint and readTensor read back, larger than one chunk', async () => {
    const rows = 5_000_000 // 20 MB: two chunks
    const checkpoint = await writeCheckpoint([counting('odd', [3], 7), counting('large', [rows, 1], 0)])
    const [odd, large] = [checkpoint.tensors.get('odd'), checkpoint.tensors.get('large')]
    expect(odd && [...(await readTensor(odd))]).toEqual([7, 8, 9])
    const values = large ? await readTensor(large) : new Float32Array()
    expect(values.length).toBe(rows)
    expect(values.every((value, index) => value === index)).toBe(true)
  })

  it('begins every tensor at a multiple of 64 bytes if its length is one', async () => {
    const checkpoint = await writeCheckpoint([counting('odd', [3], 0), counting('a', [32], 0), counting('b', [16], 0)])
    expect(['a', 'b'].map((name) => (checkpoint.tensors.get(name)?.offset ?? 1) % 64)).toEqual([0, 0])
  })

  it('tells how many bytes of how many are written', async () => {
    const file = join(await makeFolder(), 'model.safetensors')
    const heard: [number, number][] = []
    await writeSafetensors(file, [counting('a', [16], 0), counting('b', [16], 0)], {}, (...bytes) => heard.push(bytes))
    const { length } = await readFile(file)
    expect(heard).toEqual([
      [length - 64, length],
      [length, length],
    ])
  })

  it('marks synthetic weights', async () => {
    expect((await writeCheckpoint([], { [syntheticKey]: 'true' })).synthetic).toBe(true)
    expect((await writeCheckpoint([])).synthetic).toBe(false)
  })

  it('leaves neither the file nor a part of it behind when a tensor fails', async () => {
    const folder = await makeFolder()
    const failing = {
      name: 'bad',
      shape: [4],
      fill: () => {
        throw new Error('no values')
      },
    }
    const written = writeSafetensors(join(folder, 'model.safetensors'), [counting('a', [16], 0), failing])
    await expect(written).rejects.toThrow('no values')
    expect(await readdir(folder)).toEqual([])
  })

  it('removes what a killed writer left, and not what another one is writing', async () => {
    const folder = await makeFolder()
    const hourAgo = new Date(Date.now() - 3_600_000)
    for (const name of ['model.safetensors.1-dead.part', 'model.safetensors.2-live.part', 'other.part']) {
      await writeFile(join(folder, name), 'half')
      if (!name.includes('live')) await utimes(join(folder, name), hourAgo, hourAgo)
    }
    await writeSafetensors(join(folder, 'model.safetensors'), [counting('a', [1], 0)])
    expect(await readdir(folder)).toEqual(['model.safetensors', 'model.safetensors.2-live.part', 'other.part'])
  })

  it('refuses to write one name twice', async () => {
    const file = join(await makeFolder(), 'model.safetensors')
    await expect(writeSafetensors(file, [counting('a', [1], 0), counting('a', [1], 0)])).rejects.toThrow('twice')
  })
})

describe('ensureDiskSpace', () => {
  it('lets what fits pass, also where the folder does not exist yet', async () => {
    await expect(ensureDiskSpace(join(await makeFolder(), 'a', 'b'), 1)).resolves.toBeUndefined()
  })

  it('refuses what no disk holds, saying what is needed', async () => {
    await expect(ensureDiskSpace(await makeFolder(), 2 ** 60)).rejects.toMatchObject({
      code: 'OUT_OF_DISK',
      message: expect.stringContaining('1073741824.00 GiB'),
    })
  })
})
