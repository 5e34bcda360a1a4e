import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import pg from 'pg'
import { afterAll, describe, expect, it } from 'vitest'
import { resetDataFolder } from '../../../src/embedded/data-folder.ts'
import { startPostgres } from '../../../src/embedded/postgres.ts'
import { pidExists } from '../../../src/embedded/process-identity.ts'
import { compiledFile } from '../../../src/package-folder.ts'

const isRoot = process.getuid?.() === 0
const made: string[] = []
afterAll(async () => {
  for (const folder of made) {
    await resetDataFolder(folder)
    await rm(dirname(folder), { recursive: true, force: true })
  }
})

/** The data folder to be made, with a space in its path; `mode` is that of the folder around it. */
function newFolder(mode = 0o755): string {
  const around = mkdtempSync(join(tmpdir(), 'embedded test-'))
  chmodSync(around, mode)
  const folder = join(around, 'data')
  made.push(folder)
  return folder
}

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => undefined)
  await client.connect()
  try {
    return (await client.query(sql)).rows
  } finally {
    await client.end()
  }
}

async function gone(pid: number): Promise<void> {
  await expect.poll(() => pidExists(pid) && !isZombie(pid), { timeout: 20_000 }).toBe(false)
}

function isZombie(pid: number): boolean {
  try {
    return / Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

/** Another process that starts or attaches, prints the server's pid, and waits to be ended. */
async function startElsewhere(dataDir: string): Promise<{ child: ChildProcess; serverPid: number; attached: boolean }> {
  const module = compiledFile('src/embedded/postgres.ts')
  const program = `import { startPostgres } from ${JSON.stringify(module)}
    const postgres = await startPostgres(${JSON.stringify(dataDir)})
    console.log(JSON.stringify({ serverPid: postgres.pid, attached: postgres.attached }))
    process.stdin.once('data', async () => { await postgres.stop(); process.exit(0) })`
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const [line] = await once(child.stdout, 'data')
  return { child, ...JSON.parse(String(line)) }
}

describe('startPostgres', () => {
  it('starts a server that only a password opens, on loopback alone, in a path with spaces', async () => {
    const dataDir = newFolder()
    const postgres = await startPostgres(dataDir)
    expect(postgres.attached).toBe(false)
    expect(await query(postgres.url, 'SHOW listen_addresses')).toEqual([{ listen_addresses: '127.0.0.1' }])
    expect(await query(postgres.url, 'SHOW fsync')).toEqual([{ fsync: 'on' }])
    const wrong = new URL(postgres.url)
    wrong.password = 'guess'
    await expect(query(wrong.href, 'SELECT 1')).rejects.toThrow(/password authentication failed/)
    expect(statSync(join(dataDir, 'postgres-password')).mode & 0o777).toBe(0o600)
    await postgres.stop()
    await postgres.stop()
    expect(postgres.isAlive()).toBe(false)
    expect(pidExists(postgres.pid) && !isZombie(postgres.pid)).toBe(false)
  })

  it.runIf(isRoot)('runs the server as another user than root', async () => {
    const dataDir = newFolder()
    const postgres = await startPostgres(dataDir)
    expect(statSync(join(dataDir, 'postgres')).uid).not.toBe(0)
    expect(readFileSync(`/proc/${postgres.pid}/status`, 'utf8')).not.toMatch(/^Uid:\s+0/m)
    await postgres.stop()
  })

  it.runIf(isRoot)(
    'keeps the database elsewhere where only root may enter the data folder, and reset removes it',
    async () => {
      const dataDir = newFolder(0o700)
      const first = await startPostgres(dataDir)
      await query(first.url, 'CREATE TABLE kept (id INT)')
      await first.stop()
      const elsewhere = readFileSync(join(dataDir, 'postgres-elsewhere'), 'utf8').trim()
      expect(existsSync(join(elsewhere, 'postgres', 'PG_VERSION'))).toBe(true)
      const second = await startPostgres(dataDir)
      expect(await query(second.url, 'SELECT * FROM kept')).toEqual([])
      await second.stop()
      expect(await resetDataFolder(dataDir)).toEqual([dataDir, elsewhere])
      expect(existsSync(elsewhere) || existsSync(dataDir)).toBe(false)
    },
  )

  it('is one server for all processes of a data folder, stopped by whoever leaves last', async () => {
    const dataDir = newFolder()
    const [a, b] = await Promise.all([startElsewhere(dataDir), startElsewhere(dataDir)])
    const mine = await startPostgres(dataDir)
    expect(new Set([a.serverPid, b.serverPid, mine.pid]).size).toBe(1)
    expect([a.attached, b.attached, mine.attached].filter((attached) => !attached)).toHaveLength(1)
    await expect(resetDataFolder(dataDir)).rejects.toMatchObject({ code: 'DATA_DIR_IN_USE' })
    a.child.stdin?.write('x')
    await once(a.child, 'exit')
    await mine.stop()
    expect(pidExists(b.serverPid)).toBe(true)
    b.child.stdin?.write('x')
    await once(b.child, 'exit')
    await gone(b.serverPid)
  })

  it('keeps the server when its starter is killed with -9, and the next one attaches and stops it', async () => {
    const dataDir = newFolder()
    const { child, serverPid } = await startElsewhere(dataDir)
    child.kill('SIGKILL')
    await once(child, 'exit')
    const postgres = await startPostgres(dataDir)
    expect(postgres).toMatchObject({ attached: true, pid: serverPid })
    await postgres.stop()
    await gone(serverPid)
  })

  it('comes back under the same address after kill -9, with everything that was committed', async () => {
    const dataDir = newFolder()
    const postgres = await startPostgres(dataDir)
    const { url, pid } = postgres
    await query(url, 'CREATE TABLE kept (id INT)')
    for (let n = 0; n < 50; n++) await query(url, `INSERT INTO kept VALUES (${n})`)
    process.kill(pid, 'SIGKILL')
    await expect.poll(() => postgres.isAlive()).toBe(false)
    await postgres.restart()
    await postgres.restart()
    expect(postgres.url).toBe(url)
    expect(postgres.pid).not.toBe(pid)
    expect(await query(url, 'SELECT count(*)::int AS count FROM kept')).toEqual([{ count: 50 }])
    await postgres.stop()
  })

  it('starts over a postmaster.pid whose pid is another program by now', async () => {
    const dataDir = newFolder()
    await (await startPostgres(dataDir)).stop()
    // Of the server's own user, so that PostgreSQL by itself would refuse.
    const { uid, gid } = statSync(join(dataDir, 'postgres'))
    const stranger = spawn('/bin/sleep', ['60'], { uid, gid, cwd: '/' })
    const pidFile = join(dataDir, 'postgres', 'postmaster.pid')
    await writeFile(pidFile, `${stranger.pid}\n${join(dataDir, 'postgres')}\n1\n1\n\n127.0.0.1\n\nready   \n`)
    const postgres = await startPostgres(dataDir)
    expect(postgres.attached).toBe(false)
    await postgres.stop()
    expect(stranger.exitCode).toBeNull()
    stranger.kill()
    await once(stranger, 'exit')
  })

  it('leaves no half database behind when it is killed while making one', async () => {
    const dataDir = newFolder()
    const module = compiledFile('src/embedded/postgres.ts')
    const program = `import { startPostgres } from ${JSON.stringify(module)}
      console.log('x'); await startPostgres(${JSON.stringify(dataDir)})`
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: 'pipe' })
    const drafts = () => (existsSync(dataDir) ? readdirSync(dataDir).filter((name) => name.includes('draft-')) : [])
    await expect.poll(() => drafts().length, { interval: 5, timeout: 20_000 }).toBeGreaterThan(0)
    child.kill('SIGKILL')
    await once(child, 'exit')
    expect(existsSync(join(dataDir, 'postgres'))).toBe(false)
    const postgres = await startPostgres(dataDir)
    expect(await query(postgres.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
    await postgres.stop()
  })

  it('says what to do when the database was damaged', async () => {
    const dataDir = newFolder()
    await (await startPostgres(dataDir)).stop()
    await rm(join(dataDir, 'postgres', 'global'), { recursive: true })
    await mkdir(join(dataDir, 'postgres', 'global'))
    await expect(startPostgres(dataDir)).rejects.toMatchObject({
      code: 'INTERNAL',
      hint: expect.stringContaining('kvscope reset'),
    })
  })
})
