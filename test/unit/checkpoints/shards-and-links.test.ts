import { mkdir, rename, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openCheckpoint } from '../../../src/checkpoints/open.ts'
import { readTensor } from '../../../src/checkpoints/read-tensor.ts'
import { f32, fileBytes, makeCheckpoint, makeFolder } from './safetensors-file.ts'

const shard = (name: string) => fileBytes(JSON.stringify({ [name]: f32([2], 0) }), 8)

/** A folder with config.json, an index of this weight_map and the shards given. */
async function makeShards(weightMap: unknown, shards: Record<string, Uint8Array>): Promise<string> {
  const folder = await makeFolder()
  await writeFile(join(folder, 'config.json'), '{}')
  await writeFile(join(folder, 'model.safetensors.index.json'), JSON.stringify({ metadata: {}, weight_map: weightMap }))
  for (const [name, bytes] of Object.entries(shards)) await writeFile(join(folder, name), bytes)
  return folder
}

describe('shards', () => {
  it('are read as one checkpoint, and a leading "transformer." is dropped', async () => {
    const weightMap = { 'transformer.a': '1.safetensors', b: '2.safetensors' }
    const folder = await makeShards(weightMap, { '1.safetensors': shard('transformer.a'), '2.safetensors': shard('b') })
    const { tensors } = await openCheckpoint(folder)
    expect([...tensors.keys()]).toEqual(['a', 'b'])
    expect(tensors.get('b')?.file).toMatch(/2\.safetensors$/)
  })

  it('refuses an index that names a file that is not there', async () => {
    const folder = await makeShards({ a: '1.safetensors', b: '2.safetensors' }, { '1.safetensors': shard('a') })
    await expect(openCheckpoint(folder)).rejects.toMatchObject({
      code: 'CHECKPOINT_INVALID',
      message: expect.stringContaining('the shard 2.safetensors is not in the folder'),
    })
  })

  it('refuses an index that puts a tensor into a shard without it', async () => {
    const folder = await makeShards({ a: '1.safetensors', c: '1.safetensors' }, { '1.safetensors': shard('a') })
    await expect(openCheckpoint(folder)).rejects.toThrow('puts tensor "c" into 1.safetensors, which does not hold it')
  })

  it('refuses a tensor that stands in two shards, under either spelling', async () => {
    const weightMap = { a: '1.safetensors', 'transformer.a': '2.safetensors' }
    const folder = await makeShards(weightMap, { '1.safetensors': shard('a'), '2.safetensors': shard('transformer.a') })
    await expect(openCheckpoint(folder)).rejects.toThrow(
      /tensor "a" stands in .*1\.safetensors and again in .*2\.safetensors/,
    )
  })

  it.each([
    ['a list', ['x']],
    ['absent', undefined],
  ])('refuses an index whose weight_map is %s', async (_, weightMap) => {
    await expect(openCheckpoint(await makeShards(weightMap, {}))).rejects.toThrow(/weight_map is not an object/)
  })

  it('refuses an index that puts a tensor into no file name', async () => {
    await expect(openCheckpoint(await makeShards({ a: 7 }, {}))).rejects.toThrow('tensor "a" lies in 7')
  })

  it.each([['../outside.safetensors'], ['/etc/passwd'], ['..'], ['a/b.safetensors'], ['a\\b.safetensors'], ['C:b']])(
    'refuses a shard named %s',
    async (name) => {
      await expect(openCheckpoint(await makeShards({ a: name }, {}))).rejects.toMatchObject({
        code: 'PATH_FORBIDDEN',
        message: expect.stringContaining(JSON.stringify(name)),
      })
    },
  )
})

describe('links', () => {
  it('refuses weights that are a link out of the folder', async () => {
    const outside = join(await makeFolder(), 'weights.safetensors')
    await writeFile(outside, shard('a'))
    const folder = await makeFolder()
    await writeFile(join(folder, 'config.json'), '{}')
    await symlink(outside, join(folder, 'model.safetensors'))
    await expect(openCheckpoint(folder)).rejects.toMatchObject({
      code: 'PATH_FORBIDDEN',
      message: expect.stringContaining('is a link that leads out of its folder'),
    })
  })

  it('refuses a config.json that is a link out of the folder', async () => {
    const folder = await makeFolder()
    await symlink('/etc/hostname', join(folder, 'config.json'))
    await expect(openCheckpoint(folder)).rejects.toMatchObject({ code: 'PATH_FORBIDDEN' })
  })

  it('takes a folder that is itself given through a link for the real one', async () => {
    const folder = await makeCheckpoint({ header: JSON.stringify({ a: f32([2], 0) }), data: 8 })
    const link = join(await makeFolder(), 'link')
    await symlink(folder, link)
    const checkpoint = await openCheckpoint(link)
    expect(checkpoint.directory).toBe(folder)
    expect(checkpoint.tensors.get('a')?.file).toBe(join(folder, 'model.safetensors'))
  })

  it('takes a link to another name in the same folder', async () => {
    const folder = await makeCheckpoint({ header: JSON.stringify({ a: f32([2], 0) }), data: 8 })
    await rename(join(folder, 'model.safetensors'), join(folder, 'real.safetensors'))
    await symlink('real.safetensors', join(folder, 'model.safetensors'))
    const entry = (await openCheckpoint(folder)).tensors.get('a')
    expect(entry && (await readTensor(entry))).toEqual(new Float32Array(2))
  })

  it('refuses a folder where a file is expected', async () => {
    const folder = await makeFolder()
    await writeFile(join(folder, 'config.json'), '{}')
    await mkdir(join(folder, 'model.safetensors'))
    await expect(openCheckpoint(folder)).rejects.toThrow('is not a regular file')
  })

  it('names what it looked for where there are no weights', async () => {
    const folder = await makeFolder()
    await writeFile(join(folder, 'config.json'), '{}')
    await expect(openCheckpoint(folder)).rejects.toThrow(/neither model\.safetensors nor .* nor pytorch_model\.bin/)
  })
})
