import { mkdir, realpath } from 'node:fs/promises'
import pg from 'pg'
import { AppError } from '../errors.ts'
import { findBinaries } from './binaries.ts'
import { addClaim, claimAlone, type HeldClaim, liveClaims } from './claims.ts'
import {
  createCluster,
  readPassword,
  type ServerOptions,
  settledPostmaster,
  startServer,
  stopServer,
} from './cluster.ts'
import { type DatabaseHome, findDatabaseHome } from './database-home.ts'
import { isPostmaster, signalPostmaster } from './postmaster.ts'

/**
 * The PostgreSQL of a data folder as one of its users sees it. The server belongs to all processes that use it: whoever
 * leaves last stops it.
 */
export interface EmbeddedPostgres {
  /** With the password; for this process and its children. Stays the same over restarts unless the port was taken. */
  readonly url: string
  readonly pid: number
  /** True where the server ran already when this process came. */
  readonly attached: boolean
  /** Whether the server's process lives; synchronous and cheap enough for a supervisor's every second. */
  isAlive(): boolean
  /** Brings a dead server back, on the same port where that is still free. Does nothing while it lives. */
  restart(): Promise<void>
  /** Leaves; stops the server where no other living process uses it. Safe to call twice. */
  stop(): Promise<void>
}

/** A start elsewhere may be creating the database, or recovering a large one. */
const patienceMs = 120_000
const users = 'postgres-user'
const database = 'kvscope'

/**
 * Starts the PostgreSQL of the data folder, or attaches to the one that runs.
 * Root drops to `postgres` or `nobody`; only loopback is listened on; the data survives kill -9 (fsync stays on).
 * @throws AppError CONFIG_UNSUPPORTED where this machine cannot run it; its hint names DATABASE_URL
 */
export async function startPostgres(dataDir: string, options: ServerOptions = {}): Promise<EmbeddedPostgres> {
  await mkdir(dataDir, { recursive: true })
  const folder = await realpath(dataDir)
  let use: HeldClaim | null = null
  const first = await exclusively(folder, async () => {
    const started = await bringUp(folder, options)
    use = await addClaim(folder, users)
    return started
  })
  let { url, pid, home } = first
  let left = false

  /** The net under a process that ends without stop(), as by an uncaught error: asks for the shutdown, cannot wait. */
  const onExit = () => {
    if (liveClaims(folder, users).every((claim) => claim.pid === process.pid)) signalPostmaster(pid, 'SIGINT')
  }
  process.once('exit', onExit)

  return {
    get url() {
      return url
    },
    get pid() {
      return pid
    },
    attached: first.attached,
    isAlive: () => isPostmaster(pid, home.cluster),
    restart: () =>
      exclusively(folder, async () => {
        if (left || isPostmaster(pid, home.cluster)) return
        const again = await bringUp(folder, options)
        url = again.url
        pid = again.pid
        home = again.home
      }),
    stop: async () => {
      if (left) return
      left = true
      process.off('exit', onExit)
      await exclusively(folder, async () => {
        await use?.release()
        if (liveClaims(folder, users).length === 0) await stopServer(home.cluster)
      })
    },
  }
}

/** Processes that use the embedded PostgreSQL of a data folder now. */
export function postgresUsers(dataDir: string): { pid: number }[] {
  return liveClaims(dataDir, users)
}

async function bringUp(folder: string, options: ServerOptions) {
  const home = await findDatabaseHome(folder)
  const password = await readPassword(folder)
  const running = await settledPostmaster(home.cluster)
  const server = running ?? (await create(home, password, options))
  const address = (name: string) => `postgresql://kvscope:${password}@127.0.0.1:${server.port}/${name}`
  await ensureDatabase(address('postgres'), home)
  return { url: address(database), pid: server.pid, attached: running !== null, home }
}

async function create(home: DatabaseHome, password: string, options: ServerOptions) {
  const native = await findBinaries(home.home, home.user)
  await createCluster(native, home, password)
  return startServer(native, home, options)
}

async function ensureDatabase(url: string, home: DatabaseHome): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  // A loss between two queries shows in the next one.
  client.on('error', () => undefined)
  try {
    await client.connect()
    const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [database])
    if (rowCount === 0) await client.query(`CREATE DATABASE ${database}`)
  } catch (error) {
    throw new AppError(
      'INTERNAL',
      `The PostgreSQL in ${home.cluster} runs but lets nobody in: ${error instanceof Error ? error.message : error}`,
      `If ${home.dataDir}/postgres-password was lost, "kvscope reset" starts afresh.`,
      error,
    )
  } finally {
    await client.end().catch(() => undefined)
  }
}

/** One process at a time starts or stops the server of a data folder. */
async function exclusively<T>(folder: string, work: () => Promise<T>): Promise<T> {
  const claim = await claimAlone(folder, 'postgres-start', '', patienceMs)
  if ('holder' in claim) {
    throw new AppError(
      'DATA_DIR_IN_USE',
      `Process ${claim.holder.pid} has been starting or stopping the PostgreSQL of ${folder} for two minutes.`,
      'Wait for it or end it, then try again.',
    )
  }
  try {
    return await work()
  } finally {
    await claim.held.release()
  }
}
