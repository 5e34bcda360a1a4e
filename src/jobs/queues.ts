import { randomUUID } from 'node:crypto'
import { createPostgresBackend, createRedisBackend, type IQueueBackend, runMigrations, withBackend } from 'bullmq'
import pg from 'pg'
import type { Config } from '../config.ts'
import { queueChannel } from '../db/notifications.ts'
import type { RunQueue } from '../db/run-queue.ts'
import { AppError } from '../errors.ts'
import { commonQueue, queueName } from './queue-names.ts'

export type QueueBackend = 'POSTGRESQL' | 'REDIS'

export interface QueueOptions {
  /** null: the queue lives in PostgreSQL */
  redisUrl: string | null
  databaseUrl: string
  /** Keeps the keys of several installations on one Redis apart; PostgreSQL needs none. */
  prefix?: string
  /** Hears of lost connections and the like, once a second at most; the queue goes on by itself. */
  onError?: (error: Error) => void
}

/** The transport of runs: it carries `{runId}` and nothing else. The truth is in the table Run. */
export interface Queues {
  readonly backend: QueueBackend
  /**
   * Tells the workers of a queue that a run waits, and wakes them. The same run and attempt twice is one message.
   * @param attempt number that the next try will have, from 1
   * @throws when the store cannot be reached within a few seconds; the sweeper enqueues later
   */
  enqueue(runId: string, queue: RunQueue, attempt: number): Promise<void>
  /** How many messages wait in the queue. */
  waiting(queue: RunQueue): Promise<number>
  /** Removes what waits in a queue that nobody will read again. */
  empty(queue: RunQueue): Promise<void>
  reachable(): Promise<boolean>
  close(): Promise<void>
}

/** A message in a worker's hands. Its lock is renewed until it is done; if the process dies it comes back. */
export interface QueueMessage {
  readonly runId: string
  /** Removes the message. Never throws: what cannot be removed comes back, and then there is nothing to do for it. */
  done(): Promise<void>
}

/** The receiving side of several queues, over one connection. */
export interface QueueReader {
  /** Resolves when the queues can be read. */
  ready(): Promise<void>
  /** Whether any message waits. */
  anyWaiting(): Promise<boolean>
  /**
   * Takes one message. The queues take turns: it looks first into the one after that which gave the last message, so that
   * none of them waits for another to run dry.
   * @returns null where none waits
   */
  take(): Promise<QueueMessage | null>
  /** A message still in hand comes back to others. */
  close(): Promise<void>
}

const patienceMs = 5000
/** A message comes back as often as its worker dies: how often a run may be tried is the table's to say. */
const maxStalledCount = 1_000_000
const defaultPrefix = 'kvscope'

/** BullMQ's classes over one shared connection: each of them by itself would take two or three of PostgreSQL's. */
interface Transport {
  classes: ReturnType<typeof withBackend<IQueueBackend, string>>
  ready(): Promise<void>
  /** Tells the workers that listen that a message waits. */
  wake(queueName: string): Promise<unknown>
  close(): Promise<void>
}

/** What BullMQ wants as a connection of a class that shares another's. */
const connection = 'shared'

const wakeWorkers = 'SELECT pg_notify($1, $2)'

/** @param settings of BullMQ's workers: the backends of single queues have those of the one they share */
function openTransport(options: QueueOptions, tell: (error: unknown) => void, settings: object = {}): Transport {
  const { redisUrl, databaseUrl, prefix = defaultPrefix } = options
  const server = { connectionString: databaseUrl, application_name: 'kvscope queue', keepAlive: true }
  const share = (backend: IQueueBackend) => {
    backend.on('error', tell)
    return {
      classes: withBackend<IQueueBackend, string>((name) => backend.forQueue(name)),
      ready: () => backend.waitUntilReady(),
    }
  }
  if (redisUrl === null) {
    const backend = createPostgresBackend('kvscope', { ...settings, connection: { ...server, max: 2 } })
    const wake = (name: string) => backend.connection.pool.query(wakeWorkers, [queueChannel, name])
    return { ...share(backend), wake, close: () => backend.close() }
  }
  // Without a limit on retries a command waits for Redis to come back instead of failing half-way.
  const redis = { ...settings, prefix, connection: { url: redisUrl, maxRetriesPerRequest: null } }
  const backend = createRedisBackend('kvscope', redis)
  const pool = new pg.Pool({ ...server, max: 1, connectionTimeoutMillis: patienceMs })
  pool.on('error', tell)
  const wake = (name: string) => pool.query(wakeWorkers, [queueChannel, name])
  const close = async () => {
    await Promise.all([backend.close(), pool.ending ? null : pool.end()])
  }
  return { ...share(backend), wake, close }
}

/** A store that is gone fails every attempt at it, hundreds a second: one of them says it. */
function onceASecond(hear: ((error: Error) => void) | undefined): (error: unknown) => void {
  let heard = Number.NEGATIVE_INFINITY
  return (error) => {
    if (performance.now() - heard < 1000) return
    heard = performance.now()
    hear?.(error instanceof Error ? error : new Error(String(error)))
  }
}

async function within<T>(promise: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new AppError('INTERNAL', `${what} took over ${patienceMs} ms`)), patienceMs)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Creates or updates the tables of the queue in PostgreSQL; safe when several processes start at once. */
export async function migrateQueue(databaseUrl: string): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl })
  // A server that dies meanwhile is reported by the query under way.
  client.on('error', () => undefined)
  await client.connect()
  try {
    await runMigrations(client)
  } finally {
    await client.end().catch(() => undefined)
  }
}

function openQueue({ classes }: Transport, queue: RunQueue, tell: (error: unknown) => void) {
  // Without the settings that BullMQ would keep for each queue: those of workers long gone would stay for ever.
  const opened = new classes.Queue<{ runId: string }>(queueName(queue), { connection, skipMetasUpdate: true })
  opened.on('error', tell)
  return opened
}

/** Opens the sending side of the queues; connections are made when first used. */
export function openQueues(options: QueueOptions): Queues {
  const tell = onceASecond(options.onError)
  let current: Transport | null = null
  /** A connection that could not be made never tries again, so after a failure the next use opens a new one. */
  const use = async <T>(what: string, work: (transport: Transport) => Promise<T>) => {
    current ??= openTransport(options, tell)
    const transport = current
    try {
      return await within(work(transport), what)
    } catch (error) {
      if (current === transport) current = null
      void transport.close().catch(() => undefined)
      throw error
    }
  }
  const waiting = (queue: RunQueue) =>
    use('counting messages', (transport) => openQueue(transport, queue, tell).getWaitingCount())
  return {
    backend: options.redisUrl === null ? 'POSTGRESQL' : 'REDIS',
    async enqueue(runId, queue, attempt) {
      const settings = { jobId: `${runId}-${attempt}`, attempts: 1, removeOnComplete: true, removeOnFail: true }
      try {
        await use(`enqueueing run ${runId}`, async (transport) => {
          await openQueue(transport, queue, tell).add('run', { runId }, settings)
          // Who does not hear of it finds it when it next looks.
          await transport.wake(queueName(queue)).catch(tell)
        })
      } catch (error) {
        tell(error)
        throw error
      }
    },
    waiting,
    async empty(queue) {
      await use('emptying a queue', (transport) => openQueue(transport, queue, tell).drain())
    },
    async reachable() {
      try {
        await waiting(commonQueue('CPU'))
        return true
      } catch {
        return false
      }
    },
    async close() {
      await current?.close()
    },
  }
}

/**
 * Opens the receiving side of queues. A message whose process dies comes back after `queueLockMs` and at most
 * `queueCheckMs`.
 * @param onReturn called when messages have come back
 */
export function openQueueReader(
  queues: readonly RunQueue[],
  options: QueueOptions,
  { queueLockMs, queueCheckMs }: Pick<Config, 'queueLockMs' | 'queueCheckMs'>,
  onReturn: () => void,
): QueueReader {
  const tell = onceASecond(options.onError)
  const settings = { lockDuration: queueLockMs, stalledInterval: queueCheckMs, maxStalledCount }
  const transport = openTransport(options, tell, settings)
  const readers = queues.map((queue) => {
    const worker = new transport.classes.Worker<{ runId: string }>(queueName(queue), null, {
      ...settings,
      connection,
      autorun: false,
    })
    worker.on('error', tell)
    worker.on('stalled', onReturn)
    return { worker, queue: openQueue(transport, queue, tell) }
  })
  let first = 0
  const renewals = new Set<NodeJS.Timeout>()

  return {
    async ready() {
      await transport.ready()
      for (const { worker } of readers) void worker.startStalledCheckTimer()
    },
    async anyWaiting() {
      const counts = await Promise.all(readers.map(({ queue }) => queue.getWaitingCount()))
      return counts.some((count) => count > 0)
    },
    async take() {
      for (let step = 0; step < readers.length; step++) {
        const index = (first + step) % readers.length
        const token = randomUUID()
        const job = await readers[index]?.worker.getNextJob(token, { block: false })
        if (!job) continue
        first = index + 1
        const renewal = setInterval(() => void job.extendLock(token, queueLockMs).catch(tell), queueLockMs / 2)
        renewals.add(renewal)
        return {
          runId: job.data.runId,
          async done() {
            clearInterval(renewal)
            renewals.delete(renewal)
            await job.moveToCompleted('', token, false).catch(tell)
          },
        }
      }
      return null
    },
    async close() {
      for (const renewal of renewals) clearInterval(renewal)
      await Promise.all(readers.map(({ worker }) => worker.close()))
      await transport.close()
    },
  }
}
