import { execFileSync } from 'node:child_process'
import { mkdir, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openCheckpoint } from '../../../src/checkpoints/open.ts'
import { openRegular, readSmallFile } from '../../../src/checkpoints/regular-file.ts'
import { fileInside } from '../../../src/checkpoints/shards.ts'
import { f32, fileBytes, makeCheckpoint, makeFolder } from './safetensors-file.ts'

const header = JSON.stringify({ a: f32([2], 0) })
const index = 'model.safetensors.index.json'

/** A folder with config.json and weights, in which `name` is a pipe that nobody writes to. */
async function withPipe(name: string): Promise<string> {
  const folder = await makeCheckpoint({ header, data: 8 })
  await rm(join(folder, name), { force: true })
  execFileSync('mkfifo', [join(folder, name)])
  return folder
}

const refusedAsPipe = (path: string) => ({ code: 'CHECKPOINT_INVALID', message: `${path}: is not a regular file` })

// A reader that waited for a writer would run into the test's time limit.
describe.skipIf(process.platform === 'win32')('a pipe in the place of a file', () => {
  it.each(['config.json', 'model.safetensors', index])(
    'is refused as %s without waiting for a writer',
    async (name) => {
      const folder = await withPipe(name)
      await expect(openCheckpoint(folder)).rejects.toMatchObject(refusedAsPipe(join(folder, name)))
    },
  )

  it('is refused as a shard', async () => {
    const folder = await withPipe('2.safetensors')
    await writeFile(join(folder, '1.safetensors'), fileBytes(header, 8))
    const weightMap = { a: '1.safetensors', b: '2.safetensors' }
    await writeFile(join(folder, index), JSON.stringify({ weight_map: weightMap }))
    await expect(openCheckpoint(folder)).rejects.toMatchObject(refusedAsPipe(join(folder, '2.safetensors')))
  })

  it('is refused behind a link and under the name of a tokenizer', async () => {
    const folder = await withPipe('pipe')
    await symlink('pipe', join(folder, 'tokenizer.json'))
    await expect(fileInside(folder, 'tokenizer.json')).rejects.toMatchObject(refusedAsPipe(join(folder, 'pipe')))
  })

  it('is refused where it took the place of a file that had been looked at', async () => {
    const pipe = join(await withPipe('pipe'), 'pipe')
    await expect(openRegular(pipe)).rejects.toMatchObject(refusedAsPipe(pipe))
    await expect(readSmallFile(pipe, 100)).rejects.toMatchObject(refusedAsPipe(pipe))
  })
})

describe('files that are too long', () => {
  it.each([
    ['config.json', 1_000_001, 1_000_000],
    [index, 32_000_001, 32_000_000],
  ])('refuses %s of %i bytes by its size, unread', async (name, size, most) => {
    const folder = await makeCheckpoint({ header, data: 8 })
    await writeFile(join(folder, name), '{}')
    await truncate(join(folder, name), size)
    await expect(openCheckpoint(folder)).rejects.toMatchObject({
      code: 'CHECKPOINT_INVALID',
      message: `${join(folder, name)} is ${size} bytes long, and at most ${most} are read`,
    })
  })

  it('reads one that is just as long as it may be', async () => {
    const folder = await makeCheckpoint({ header, data: 8 })
    const config = JSON.stringify({ model_type: 'gpt2' })
    await writeFile(join(folder, 'config.json'), config.padEnd(1_000_000))
    expect((await openCheckpoint(folder)).config).toEqual({ model_type: 'gpt2' })
  })
})

it('refuses a folder under the name of config.json', async () => {
  const folder = await makeFolder()
  await mkdir(join(folder, 'config.json'))
  await expect(openCheckpoint(folder)).rejects.toThrow('is not a regular file')
})
