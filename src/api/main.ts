import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { pathToFileURL } from 'node:url'
import { type Config, readConfig } from '../config.ts'
import { connectDatabase } from '../db/client.ts'
import { surviveConnectionLoss } from '../db/connection-loss.ts'
import { listenToRuns } from '../db/notifications.ts'
import { AppError } from '../errors.ts'
import { migrateAll } from '../jobs/migrate-all.ts'
import { openQueues } from '../jobs/queues.ts'
import { startSweeper } from '../jobs/sweep.ts'
import { createLogger, type Logger } from '../log.ts'
import { refuseOpenNetwork } from './hosts.ts'
import { createApiServer } from './server.ts'

export interface Api {
  /** `http://127.0.0.1:4000`, without a path */
  address: string
  port: number
  /** Lets requests in flight finish and ends within five seconds. */
  close(): Promise<void>
}

export interface ApiOptions {
  log?: Logger
  /** Keeps the queues of several installations on one Redis apart. */
  queuePrefix?: string
}

/**
 * Starts an API instance: brings the database to the newest schema, then serves. Any number may run beside each other.
 * @throws AppError FORBIDDEN where it would be open to the network, PORT_IN_USE where something else listens
 */
export async function startApi(config: Config, databaseUrl: string, options: ApiOptions = {}): Promise<Api> {
  refuseOpenNetwork(config)
  const log = options.log ?? createLogger('api', config.logLevel)
  const closers: (() => Promise<void>)[] = []
  const close = async () => {
    for (const closeNext of closers.splice(0).reverse()) {
      await closeNext().catch((error) => log.warn({ err: error }, 'closing'))
    }
  }
  try {
    await migrateAll(databaseUrl, config)
    const db = connectDatabase(databaseUrl)
    closers.push(() => db.close())
    const onError = (error: Error) => log.warn({ err: error }, 'queue')
    const prefix = options.queuePrefix
    const queues = openQueues({
      redisUrl: config.redisUrl,
      databaseUrl,
      onError,
      ...(prefix !== undefined && { prefix }),
    })
    closers.push(() => queues.close())
    const notifications = await listenToRuns(databaseUrl)
    closers.push(() => notifications.close())
    const sweeper = startSweeper({ db, queues, config, logger: log })
    closers.push(() => sweeper.stop())
    const server = await createApiServer({ config, db, queues, notifications, log })
    closers.push(() => server.close())
    await listen(server.httpServer, config)
    const port = portOf(server.httpServer)
    const address = `http://${config.host.includes(':') ? `[${config.host}]` : config.host}:${port}`
    log.info({ address }, 'listening')
    return { address, port, close }
  } catch (error) {
    await close()
    throw error
  }
}

function listen(server: Server, { host, port }: Config): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(error.code === 'EADDRINUSE' ? portInUse(port) : error),
    )
    server.listen(port, host, resolve)
  })
}

function portInUse(port: number): AppError {
  return new AppError(
    'PORT_IN_USE',
    `another process listens on port ${port}`,
    'Stop it, or set PORT to another number; PORT=0 takes a free one.',
  )
}

function portOf(server: Server): number {
  const address = server.address()
  return isAddressInfo(address) ? address.port : 0
}

function isAddressInfo(address: AddressInfo | string | null): address is AddressInfo {
  return typeof address === 'object' && address !== null
}

async function main(): Promise<void> {
  const config = readConfig()
  if (config.databaseUrl === null) {
    throw new AppError(
      'VALIDATION_FAILED',
      'DATABASE_URL is not set',
      'Set it, or use "kvscope serve", which brings a PostgreSQL of its own.',
    )
  }
  const log = createLogger('api', config.logLevel)
  surviveConnectionLoss(
    (error) => log.warn({ err: error }, 'a connection was lost'),
    (error) => {
      log.fatal({ err: error }, 'unexpected')
      process.exit(1)
    },
  )
  const api = await startApi(config, config.databaseUrl, { log })
  let stopping = false
  const stop = () => {
    if (stopping) return
    stopping = true
    setTimeout(() => process.exit(1), 5000).unref()
    api.close().then(() => process.exit(0))
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  main().catch((error: unknown) => {
    const known = error instanceof AppError
    const log = createLogger('api', 'info')
    if (known) log.fatal({ code: error.code, hint: error.hint }, error.message)
    else log.fatal({ err: error }, 'the API could not start')
    process.exit(1)
  })
}
