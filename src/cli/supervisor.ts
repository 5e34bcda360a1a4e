import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Config } from '../config.ts'
import { ownDataFolder } from '../embedded/data-folder.ts'
import { type EmbeddedPostgres, startPostgres } from '../embedded/postgres.ts'
import { AppError } from '../errors.ts'
import { migrateAll } from '../jobs/migrate-all.ts'
import { openLogFile } from './log-file.ts'
import { type ServiceProcess, startService } from './service-process.ts'

export interface SupervisorOptions {
  config: Config
  /** ends the start, wherever it is; stop() must be called all the same when a Supervisor was handed over */
  signal: AbortSignal
  /** where the processes' logs go: our stderr, or the end of this file, opened once the data folder is ours */
  output: 'inherit' | { file: string }
  /** what is being started, for people */
  onStep(text: string): void
  /** what happened to a process, for people */
  onNotice(text: string): void
}

/** A running kvscope: database, API and one worker, each brought back when it dies. */
export interface Supervisor {
  /** Address of the API, such as http://127.0.0.1:4000. */
  readonly address: string
  /** Ends worker and API, then the database they use, within ten seconds. Safe to call twice. */
  stop(): Promise<void>
}

/** A worker gives what runs 8 s to finish. */
const workerGraceMs = 8_800
const apiGraceMs = 5_000
const postgresWatchMs = 300

/**
 * Owns the data folder and starts everything in it. Whatever had been started is stopped again when a later step fails
 * or the signal aborts.
 * @throws AppError DATA_DIR_IN_USE, PORT_IN_USE, or what a step reports
 */
export async function startSupervisor(options: SupervisorOptions): Promise<Supervisor> {
  const { config, signal } = options
  const cleanups: (() => Promise<void>)[] = []
  let stopped: Promise<void> | null = null
  const stop = () => {
    stopped ??= runBackwards(cleanups)
    return stopped
  }
  try {
    const port = config.port === 0 ? await findPort(config) : config.port
    const address = `http://${urlHost(config.host)}:${port}`
    const ownership = await ownDataFolder(config.dataDir, address)
    cleanups.push(() => ownership.release())
    // Only now: the port of whoever owns the folder is taken too, and its owner is the better thing to be told of.
    if (config.port !== 0) await findPort(config)
    const output: 'inherit' | number =
      options.output === 'inherit' ? 'inherit' : await openLog(options.output.file, cleanups)
    signal.throwIfAborted()

    let postgres: EmbeddedPostgres | null = null
    if (config.databaseUrl === null) {
      options.onStep('starting PostgreSQL')
      postgres = await startPostgres(config.dataDir)
      cleanups.push(() => postgres?.stop() ?? Promise.resolve())
      signal.throwIfAborted()
    }
    const databaseUrl = () => postgres?.url ?? config.databaseUrl ?? ''
    options.onStep('applying migrations')
    await migrateAll(databaseUrl(), config)
    signal.throwIfAborted()

    const environment = () => ({
      DATABASE_URL: databaseUrl(),
      REDIS_URL: config.redisUrl ?? '',
      PORT: String(port),
      KVSCOPE_HOST: config.host,
      KVSCOPE_LOG_LEVEL: config.logLevel,
      KVSCOPE_DATA_DIR: config.dataDir,
      KVSCOPE_MODEL_ROOTS: config.modelRoots.join(process.platform === 'win32' ? ';' : ':'),
    })
    const common = { environment, output, onNotice: options.onNotice }
    options.onStep('starting the API and a worker')
    const starting = [
      startService({ ...common, name: 'API', args: ['serve', '--api-only'] }, signal),
      startService({ ...common, name: 'worker', args: ['worker'] }, signal),
    ]
    const [api, worker] = await everyStarted(starting)
    cleanups.push(async () => {
      await Promise.all([worker?.stop(workerGraceMs), api?.stop(apiGraceMs)])
    })
    if (postgres !== null) {
      const watch = watchPostgres(postgres, options.onNotice, () => {
        api?.replace()
        worker?.replace()
      })
      cleanups.push(watch.stop)
    }
    return { address, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

async function openLog(file: string, cleanups: (() => Promise<void>)[]): Promise<number> {
  const log = await openLogFile(file)
  cleanups.push(() => log.close())
  return log.fd
}

async function runBackwards(cleanups: readonly (() => Promise<void>)[]): Promise<void> {
  const failures: unknown[] = []
  for (const cleanup of cleanups.toReversed()) await cleanup().catch((error: unknown) => failures.push(error))
  if (failures.length > 0) throw failures[0]
}

/** All or none: when one fails to start, the others are stopped. */
async function everyStarted(starting: readonly Promise<ServiceProcess>[]): Promise<ServiceProcess[]> {
  const settled = await Promise.allSettled(starting)
  const started = settled.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  const failed = settled.find((result) => result.status === 'rejected')
  if (failed === undefined) return started
  await Promise.all(started.map((service) => service.stop(apiGraceMs)))
  throw failed.reason
}

/** Looks after the database three times a second; the processes reconnect by themselves unless its address changed. */
function watchPostgres(postgres: EmbeddedPostgres, onNotice: (text: string) => void, onMoved: () => void) {
  const halt = new AbortController()
  const watching = (async () => {
    for (let wait = postgresWatchMs; ; ) {
      await sleep(wait, undefined, { signal: halt.signal })
      wait = postgresWatchMs
      if (postgres.isAlive()) continue
      const before = postgres.url
      onNotice('PostgreSQL ended; starting it again.')
      try {
        await postgres.restart()
        onNotice('PostgreSQL is back.')
        if (postgres.url !== before) onMoved()
      } catch (error) {
        onNotice(`PostgreSQL did not start: ${String(error)}`)
        wait = 2_000
      }
    }
  })().catch(() => undefined)
  return {
    stop: async () => {
      halt.abort()
      await watching
    },
  }
}

function urlHost(host: string): string {
  if (host === '0.0.0.0' || host === '::') return '127.0.0.1'
  return host.includes(':') ? `[${host}]` : host
}

/**
 * The port to serve on: the configured one if it is free, or any free one for port 0.
 * @throws AppError PORT_IN_USE
 */
function findPort({ host, port }: Config): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') {
        reject(
          new AppError(
            'PORT_IN_USE',
            `Port ${port} of ${host} is taken`,
            'Set PORT to another, or to 0 for any free one.',
            error,
          ),
        )
      } else if (error.code === 'EACCES') {
        reject(
          new AppError(
            'PORT_IN_USE',
            `Port ${port} of ${host} may not be opened by this user`,
            'Set PORT to one above 1023.',
            error,
          ),
        )
      } else {
        reject(
          new AppError(
            'VALIDATION_FAILED',
            `Cannot listen on ${host}:${port}: ${error.message}`,
            'Set KVSCOPE_HOST and PORT.',
            error,
          ),
        )
      }
    })
    probe.listen(port, host, () => {
      const address = probe.address()
      const found = typeof address === 'object' && address !== null ? address.port : port
      probe.close(() => resolve(found))
    })
  })
}
