import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync } from 'node:fs'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { dataFolderOwner, ownDataFolder, resetDataFolder } from '../../../src/embedded/data-folder.ts'
import { compiledFile } from '../../../src/package-folder.ts'

const scratch = mkdtempSync(join(tmpdir(), 'folders-'))
afterAll(() => rm(scratch, { recursive: true, force: true }))
let count = 0
const newFolder = () => join(scratch, String(count++))

/** Another process that owns the folder, or prints why it may not, and waits. */
async function ownElsewhere(dataDir: string) {
  const module = compiledFile('src/embedded/data-folder.ts')
  const program = `import { ownDataFolder } from ${JSON.stringify(module)}
    await ownDataFolder(${JSON.stringify(dataDir)}, 'http://127.0.0.1:4000').then(() => console.log('owned'),
      (error) => console.log(error.code))
    setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [said] = await once(child.stdout, 'data')
  const end = async () => {
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  return { said: String(said).trim(), pid: child.pid, end }
}

describe('ownDataFolder', () => {
  it('tells the second who the first is, and lets it in once the first has gone, even by kill -9', async () => {
    const folder = newFolder()
    const owner = await ownElsewhere(folder)
    expect(owner.said).toBe('owned')
    const refused = ownDataFolder(folder, 'http://127.0.0.1:5000')
    await expect(refused).rejects.toMatchObject({
      code: 'DATA_DIR_IN_USE',
      message: expect.stringMatching(new RegExp(`process ${owner.pid}\\b.*http://127\\.0\\.0\\.1:4000`)),
    })
    expect(dataFolderOwner(folder)).toEqual({ pid: owner.pid, address: 'http://127.0.0.1:4000' })
    await owner.end()
    const mine = await ownDataFolder(folder, 'http://127.0.0.1:5000')
    expect(dataFolderOwner(folder)?.pid).toBe(process.pid)
    await mine.release()
    expect(dataFolderOwner(folder)).toBeNull()
  })

  it('lets exactly one in of many processes at once', async () => {
    const folder = newFolder()
    const owners = await Promise.all(Array.from({ length: 4 }, () => ownElsewhere(folder)))
    expect(owners.map(({ said }) => said).sort()).toEqual([
      'DATA_DIR_IN_USE',
      'DATA_DIR_IN_USE',
      'DATA_DIR_IN_USE',
      'owned',
    ])
    await Promise.all(owners.map(({ end }) => end()))
  })

  it.runIf(process.platform === 'linux')('does not take a process with the pid of a dead owner for it', async () => {
    const folder = newFolder()
    const mine = await ownDataFolder(folder, 'here')
    const [name = ''] = await readdir(folder)
    const claim = JSON.parse(await readFile(join(folder, name), 'utf8'))
    await mine.release()
    // Our own pid, alive, with the start of an earlier process.
    await writeFile(join(folder, `owner.${process.pid}.old.claim`), JSON.stringify({ ...claim, started: 'boot/1' }))
    await (await ownDataFolder(folder, 'here')).release()
  })
})

describe('resetDataFolder', () => {
  it('removes the folder, and does not mind that there is none', async () => {
    const folder = newFolder()
    await (await ownDataFolder(folder, 'here')).release()
    await writeFile(join(folder, 'weights'), 'x')
    expect(await resetDataFolder(folder)).toEqual([folder])
    expect(existsSync(folder)).toBe(false)
    expect(await resetDataFolder(folder)).toEqual([])
  })

  it.each(['thesis.tex', 'postgres-notes', 'weights.bak', '.git', 'owner.claim'])(
    'refuses a folder that holds %s too, and removes nothing of it',
    async (name) => {
      const folder = newFolder()
      await mkdir(join(folder, 'weights'), { recursive: true })
      await writeFile(join(folder, 'weights', 'one'), 'x')
      await writeFile(join(folder, name), 'mine')
      await expect(resetDataFolder(folder)).rejects.toMatchObject({
        code: 'PATH_FORBIDDEN',
        message: expect.stringContaining(`(${name})`),
      })
      expect((await readdir(folder)).sort()).toEqual([name, 'weights'].sort())
      expect(existsSync(join(folder, 'weights', 'one'))).toBe(true)
    },
  )

  it('removes what killed processes have left', async () => {
    const folder = newFolder()
    await mkdir(folder)
    const left = [
      'owner.7.00000000.claim',
      'owner.7.0a1b2c3d.draft',
      'postgres-user.7.0a1b2c3d.claim',
      'postgres-start.7.0a1b2c3d.claim',
      'postgres.log',
      'postgres.draft-0a1b2c3d',
      'postgres.draft-0a1b2c3d.password',
      'postgres-password.draft',
      'postgres-port',
      'postgres-elsewhere.draft',
      'postgres-binaries-18.4.0-beta.17.draft',
      'logs',
    ]
    for (const name of left) await writeFile(join(folder, name), '')
    expect(await resetDataFolder(folder)).toEqual([folder])
  })

  it('refuses a folder that is served', async () => {
    const folder = newFolder()
    const owner = await ownElsewhere(folder)
    await expect(resetDataFolder(folder)).rejects.toMatchObject({ code: 'DATA_DIR_IN_USE' })
    expect(existsSync(folder)).toBe(true)
    await owner.end()
  })

  it.each([homedir(), process.cwd(), dirname(process.cwd()), '/'])(
    'refuses %s, which holds more than data',
    async (folder) => {
      await expect(resetDataFolder(folder)).rejects.toMatchObject({ code: 'PATH_FORBIDDEN' })
    },
  )
})
