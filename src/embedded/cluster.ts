import { execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { closeSync, openSync, readFileSync, statSync } from 'node:fs'
import { chmod, chown, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { AppError } from '../errors.ts'
import type { DatabaseHome } from './database-home.ts'
import { findPostmaster, isPostmaster, type Postmaster, pidTakenByAnother, stopPostmaster } from './postmaster.ts'

const run = promisify(execFile)
const superuser = 'kvscope'
const logLimit = 1_000_000
/** After a kill -9 the old server's processes hold its memory for some moments more, and a port may just be going. */
const passing = /pre-existing shared memory|address already in use|could not create any TCP/i

/**
 * The password of the database's only user. Loopback is open to every user of the machine, so the server trusts nobody
 * who has not read this file (mode 600 in the data folder).
 */
export async function readPassword(dataDir: string): Promise<string> {
  const file = join(dataDir, 'postgres-password')
  const known = await readFile(file, 'utf8').catch(() => '')
  if (known.trim()) return known.trim()
  const password = randomBytes(24).toString('hex')
  await writeFile(`${file}.draft`, password, { mode: 0o600 })
  await chmod(`${file}.draft`, 0o600)
  await rename(`${file}.draft`, file)
  return password
}

/** Creates the database folder where there is none; made beside and renamed, so a killed start leaves no half one. */
export async function createCluster(native: string, home: DatabaseHome, password: string): Promise<void> {
  if (await stat(join(home.cluster, 'PG_VERSION')).catch(() => null)) return
  // A name of its own: the initdb of a start that was killed may still be writing into its draft.
  const draft = `${home.cluster}.draft-${randomBytes(4).toString('hex')}`
  const passwordFile = `${draft}.password`
  await mkdir(draft, { mode: 0o700 })
  await writeFile(passwordFile, password, { mode: 0o600 })
  if (home.user) {
    await chown(draft, home.user.uid, home.user.gid)
    await chown(passwordFile, home.user.uid, home.user.gid)
  }
  try {
    const access = [`--pwfile=${passwordFile}`, '--auth=scram-sha-256', `--username=${superuser}`]
    const options = ['-D', draft, ...access, '--encoding=UTF8', '--locale=C']
    await run(join(native, 'bin', 'initdb'), options, { ...(home.user ?? {}), cwd: '/' })
  } catch (error) {
    throw new AppError(
      'INTERNAL',
      `PostgreSQL could not create its database in ${draft}: ${lastLine(error)}`,
      'See that the disk has room and that KVSCOPE_DATA_DIR may be written, or set DATABASE_URL.',
      error,
    )
  } finally {
    await rm(passwordFile, { force: true })
  }
  await rename(draft, home.cluster)
}

/** Removes what starts that were killed have left. */
async function removeDrafts(home: string): Promise<void> {
  const names = (await readdir(home)).filter((name) => name.startsWith('postgres.draft-'))
  await Promise.all(names.map((name) => rm(join(home, name), { recursive: true, force: true }).catch(() => undefined)))
}

export interface ServerOptions {
  /** Connections that the server accepts; API, workers and queue take about 20 each. */
  maxConnections?: number
  /** More settings of postgresql.conf, for tests that need no durability. */
  settings?: Readonly<Record<string, string>>
}

/**
 * Starts the server and waits until it accepts connections. It is a process group of its own: Ctrl-C in a terminal
 * reaches this process, which stops the server after its clients. Its log goes to a file, so that it does not depend on
 * this process.
 * @throws AppError INTERNAL with the server's last words
 */
export async function startServer(native: string, home: DatabaseHome, options: ServerOptions): Promise<Postmaster> {
  await removeDrafts(home.home)
  const stale = pidTakenByAnother(home.cluster)
  if (stale !== null) await rm(join(home.cluster, 'postmaster.pid'), { force: true })
  const settings = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: String(options.maxConnections ?? 200),
    password_encryption: 'scram-sha-256',
    timezone: 'UTC',
    log_timezone: 'UTC',
    ...options.settings,
  }
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  for (let tries = 1; ; tries++) {
    const port = await choosePort(home.dataDir)
    const failure = await launch(join(native, 'bin', 'postgres'), home, port, flags)
    if (typeof failure !== 'string') return failure
    if (tries === 100 || !passing.test(failure)) {
      throw new AppError(
        'INTERNAL',
        `PostgreSQL did not start: ${failure}`,
        `Its log is ${logFile(home.dataDir)}. "kvscope reset" removes the database; DATABASE_URL names another.`,
      )
    }
    await sleep(100)
  }
}

async function launch(
  executable: string,
  home: DatabaseHome,
  port: number,
  flags: readonly string[],
): Promise<Postmaster | string> {
  const path = logFile(home.dataDir)
  const full = (statSync(path, { throwIfNoEntry: false })?.size ?? 0) > logLimit
  const log = openSync(path, full ? 'w' : 'a', 0o600)
  const from = full ? 0 : (statSync(path, { throwIfNoEntry: false })?.size ?? 0)
  const server = spawn(executable, ['-D', home.cluster, '-p', String(port), ...flags], {
    ...(home.user ?? {}),
    cwd: '/',
    detached: true,
    stdio: ['ignore', log, log],
  })
  closeSync(log)
  let failure: string | null = null
  server.once('error', (error) => {
    failure = error.message
  })
  server.once('exit', (code, signal) => {
    failure = lastLogLine(path, from) ?? `it ended with ${signal ?? `code ${code}`}`
  })
  server.unref()
  for (;;) {
    if (failure !== null) return failure
    const found = findPostmaster(home.cluster)
    if (found && found.pid === server.pid && found.state === 'ready') return found
    await sleep(10)
  }
}

/** The port of last time if it is free, so that clients of a server that died find the next one. */
async function choosePort(dataDir: string): Promise<number> {
  const file = join(dataDir, 'postgres-port')
  const last = Number(await readFile(file, 'utf8').catch(() => '0'))
  const port = (await freePort(last)) ?? (await freePort(0))
  if (port === null) throw new AppError('INTERNAL', 'No TCP port is free on 127.0.0.1.', 'Close some programs.')
  if (port !== last) await writeFile(file, String(port))
  return port
}

function freePort(wanted: number): Promise<number | null> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(null))
    probe.listen({ host: '127.0.0.1', port: wanted }, () => {
      const address = probe.address()
      probe.close(() => resolve(address !== null && typeof address === 'object' ? address.port : null))
    })
  })
}

/** Stops the server of a folder if one runs. */
export async function stopServer(cluster: string, patience = 10_000): Promise<void> {
  const found = findPostmaster(cluster)
  if (found) await stopPostmaster(found.pid, cluster, patience)
}

/** Waits for a server that is on its way up or down; null once there is none. */
export async function settledPostmaster(cluster: string): Promise<Postmaster | null> {
  for (;;) {
    const found = findPostmaster(cluster)
    if (found === null || found.state === 'ready') return found
    if (!isPostmaster(found.pid, cluster)) return null
    await sleep(20)
  }
}

function logFile(dataDir: string): string {
  return join(dataDir, 'postgres.log')
}

function lastLogLine(path: string, from: number): string | null {
  const lines = readFileSync(path).subarray(from).toString().trim().split('\n')
  return lines.findLast((line) => /FATAL|PANIC|error/i.test(line)) ?? lines.at(-1) ?? null
}

function lastLine(error: unknown): string {
  const words = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : ''
  return words.split('\n').at(-1) || String(error)
}
