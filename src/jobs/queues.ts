import { createPostgresBackend, Queue, runMigrations, Worker, withBackend } from 'bullmq'
import pg from 'pg'
import type { Config } from '../config.ts'
import { AppError } from '../errors.ts'
import type { Device } from './glossary.ts'

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
   * Tells the workers of a device that a run waits. The same run and attempt twice is one message.
   * @param attempt number that the next try will have, from 1
   * @throws when the store cannot be reached within a few seconds; the sweeper enqueues later
   */
  enqueue(runId: string, device: Device, attempt: number): Promise<void>
  /** How many messages wait for a worker of the device. */
  waiting(device: Device): Promise<number>
  reachable(): Promise<boolean>
  close(): Promise<void>
}

/** One device's messages being taken, one at a time. */
export interface QueueConsumer {
  /** Resolves when the consumer waits for messages. */
  ready(): Promise<void>
  /** Stops taking, and waits for the message in work. */
  close(): Promise<void>
}

interface Message {
  runId: string
}

const patienceMs = 5000
/** A message comes back as often as its worker dies: how often a run may be tried is the table's to say. */
const maxStalledCount = 1_000_000
const defaultPrefix = 'kvscope'
const postgres = withBackend(createPostgresBackend)

/** Name of the queue that the runs of one device wait in. */
function queueName(device: Device): string {
  return `kvscope-${device.toLowerCase()}`
}

const postgresConnection = (databaseUrl: string) => ({ connectionString: databaseUrl, max: 2 })
/** Without a limit on retries a command waits for Redis to come back instead of failing half-way. */
const redisConnection = (url: string) => ({ url, maxRetriesPerRequest: null })

function openQueue(device: Device, { redisUrl, databaseUrl, prefix = defaultPrefix }: QueueOptions) {
  const name = queueName(device)
  if (redisUrl === null) return new postgres.Queue<Message>(name, { connection: postgresConnection(databaseUrl) })
  return new Queue<Message>(name, { connection: redisConnection(redisUrl), prefix })
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

/** Opens the sending side of the queues; connections are made when first used. */
export function openQueues(options: QueueOptions): Queues {
  const queues = new Map<Device, ReturnType<typeof openQueue>>()
  const tell = onceASecond(options.onError)
  const queueOf = (device: Device) => {
    const known = queues.get(device)
    if (known !== undefined) return known
    const queue = openQueue(device, options)
    queue.on('error', tell)
    queues.set(device, queue)
    return queue
  }
  /** A queue whose first connection failed never tries again, so after a failure the next use opens a new one. */
  const use = async <T>(device: Device, what: string, work: (queue: ReturnType<typeof openQueue>) => Promise<T>) => {
    const queue = queueOf(device)
    try {
      return await within(work(queue), what)
    } catch (error) {
      if (queues.get(device) === queue) queues.delete(device)
      void queue.close().catch(() => undefined)
      throw error
    }
  }
  return {
    backend: options.redisUrl === null ? 'POSTGRESQL' : 'REDIS',
    async enqueue(runId, device, attempt) {
      const settings = { jobId: `${runId}-${attempt}`, attempts: 1, removeOnComplete: true, removeOnFail: true }
      try {
        await use(device, `enqueueing run ${runId}`, (queue) => queue.add('run', { runId }, settings))
      } catch (error) {
        tell(error)
        throw error
      }
    },
    async waiting(device) {
      const counts = await use(device, 'counting messages', (queue) => queue.getJobCounts('waiting'))
      return counts.waiting ?? 0
    },
    async reachable() {
      try {
        await use('CPU', 'asking the queue', (queue) => queue.getJobCounts('waiting'))
        return true
      } catch {
        return false
      }
    },
    async close() {
      await Promise.all([...queues.values()].map((queue) => queue.close()))
    },
  }
}

/**
 * Takes the messages of one device, one at a time. A message whose process dies comes back after `queueLockMs` and
 * at most `queueCheckMs`.
 * @param handle works on a run; whatever it throws is told to `onError` and the message is gone, for the sweeper
 *   finds a run that still waits
 */
export function consumeQueue(
  device: Device,
  options: QueueOptions,
  { queueLockMs, queueCheckMs }: Pick<Config, 'queueLockMs' | 'queueCheckMs'>,
  handle: (runId: string) => Promise<void>,
): QueueConsumer {
  const name = queueName(device)
  const settings = {
    concurrency: 1,
    lockDuration: queueLockMs,
    stalledInterval: queueCheckMs,
    maxStalledCount,
    runRetryDelay: 1000,
    removeOnComplete: { count: 0 },
    removeOnFail: { count: 0 },
  }
  const work = (job: { data: Message }) => handle(job.data.runId)
  const worker =
    options.redisUrl === null
      ? new postgres.Worker<Message>(name, work, { ...settings, connection: postgresConnection(options.databaseUrl) })
      : new Worker<Message>(name, work, {
          ...settings,
          connection: redisConnection(options.redisUrl),
          prefix: options.prefix ?? defaultPrefix,
        })
  const tell = onceASecond(options.onError)
  worker.on('error', tell)
  worker.on('failed', (_job: unknown, error: Error) => tell(error))
  return {
    async ready() {
      await worker.waitUntilReady()
    },
    async close() {
      await worker.close()
    },
  }
}
