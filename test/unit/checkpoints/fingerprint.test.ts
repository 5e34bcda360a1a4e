import { cp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openCheckpoint } from '../../../src/checkpoints/open.ts'
import { writeSafetensors } from '../../../src/checkpoints/write-safetensors.ts'
import { makeFolder } from './safetensors-file.ts'

const values = 64 * 1024

/** A folder whose one tensor is zero but for `value` at `index`. */
async function makeOneTensor(index: number, value: number, config = '{}'): Promise<string> {
  const folder = await makeFolder()
  await writeFile(join(folder, 'config.json'), config)
  const fill = (out: Float32Array) => {
    out.fill(0)
    out[index] = value
  }
  await writeSafetensors(join(folder, 'model.safetensors'), [{ name: 'a', shape: [values], fill }])
  return folder
}

const fingerprintOf = async (folder: string) => (await openCheckpoint(folder)).fingerprint

describe('fingerprint', () => {
  it('stays when the folder is copied to another place', async () => {
    const folder = await makeOneTensor(0, 1)
    const copy = join(await makeFolder(), 'copy')
    await cp(folder, copy, { recursive: true })
    expect(await fingerprintOf(copy)).toBe(await fingerprintOf(folder))
  })

  it.each([
    ['start', 0],
    ['middle', values / 2],
    ['end', values - 1],
  ])('differs where one value at the %s of a tensor differs', async (_, index) => {
    expect(await fingerprintOf(await makeOneTensor(index, 1))).not.toBe(
      await fingerprintOf(await makeOneTensor(index, 2)),
    )
  })

  it('differs where config.json differs', async () => {
    const configured = await makeOneTensor(0, 1, '{"n_layer": 1}')
    expect(await fingerprintOf(configured)).not.toBe(await fingerprintOf(await makeOneTensor(0, 1)))
  })
})
