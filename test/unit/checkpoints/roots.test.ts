import { mkdir, symlink } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { describe, expect, it } from 'vitest'
import { confine } from '../../../src/checkpoints/roots.ts'
import { makeFolder } from './safetensors-file.ts'

async function makeRoot() {
  const base = await makeFolder()
  const root = join(base, 'models')
  await mkdir(join(root, 'tiny'), { recursive: true })
  await mkdir(join(base, 'secret'))
  await mkdir(join(base, 'models-too'))
  return { base, root }
}

describe('confine', () => {
  it('lets a path inside a root pass, absolute or relative to the root', async () => {
    const { root } = await makeRoot()
    await expect(confine(join(root, 'tiny'), [root])).resolves.toBe(join(root, 'tiny'))
    await expect(confine('tiny', ['/nowhere', root])).resolves.toBe(join(root, 'tiny'))
    await expect(confine(relative(process.cwd(), join(root, 'tiny')), [root])).resolves.toBe(join(root, 'tiny'))
  })

  it('resolves a root that is a link, and a link that leads into a root', async () => {
    const { base, root } = await makeRoot()
    await symlink(root, join(base, 'link'))
    await expect(confine(join(root, 'tiny'), [join(base, 'link')])).resolves.toBe(join(root, 'tiny'))
    await expect(confine(join(base, 'link', 'tiny'), [root])).resolves.toBe(join(root, 'tiny'))
  })

  it.each([['..'], ['../secret'], ['tiny/../../secret'], ['../models-too'], ['/etc'], ['escape'], ['a\0b']])(
    'refuses %j',
    async (path) => {
      const { base, root } = await makeRoot()
      await symlink(join(base, 'secret'), join(root, 'escape'))
      await expect(confine(path, [root])).rejects.toMatchObject({ code: 'PATH_FORBIDDEN' })
    },
  )

  it('refuses what lies outside in the same words whether it exists or not', async () => {
    const { base, root } = await makeRoot()
    const refusals = ['secret', 'absent'].map((name) =>
      confine(join(base, name), [root]).catch((error) => error.message),
    )
    const [there, absent] = await Promise.all(refusals)
    expect(there).toBe(String(absent).replace('absent', 'secret'))
  })

  it('says of a path inside that it is not there', async () => {
    const { root } = await makeRoot()
    await expect(confine('absent', [root])).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('refuses everything where no root is set', async () => {
    await expect(confine('/', [])).rejects.toThrow('none are set')
  })
})
