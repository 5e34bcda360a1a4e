import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { setTimeout as setTimeoutPromise } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type Config, readConfig } from '../config.ts'
import { connectDatabase } from '../db/client.ts'
import { surviveConnectionLoss } from '../db/connection-loss.ts'
import { listenToRuns } from '../db/notifications.ts'
import { type NewWorker, registerWorker, removeWorker } from '../db/workers.ts'
import { AppError } from '../errors.ts'
import type { Device } from '../jobs/glossary.ts'
import { migrateAll } from '../jobs/migrate-all.ts'
import { queueName, queuesOfWorker } from '../jobs/queue-names.ts'
import { openQueueReader, openQueues, type QueueOptions } from '../jobs/queues.ts'
import { startSweeper } from '../jobs/sweep.ts'
import { createLogger, type Logger } from '../log.ts'
import { openRunStore } from './database-store.ts'
import { probeDevices } from './devices.ts'
import { readMachineId } from './machine-id.ts'
import { waitForTurn } from './machine-turn.ts'
import { keepPresent } from './presence.ts'
import { type ProcessContext, processRun } from './process-run.ts'
import type { RunStore } from './run-store.ts'
import { takeMessages } from './take-messages.ts'

/** How long a run under way may go on after the worker was asked to stop. */
const finishMs = 8000
/** After so long a worker that was asked to stop waits for nothing more. */
const closeMs = 9300

/** Parts of a worker that may be others than its own: tests kill it between two writes, or bound its child's heap. */
export interface WorkerParts {
  /** default: what the probe of this machine finds */
  devices?: readonly Device[]
  /** default: this machine's */
  machineId?: string
  hostname?: string
  queuePrefix?: string
  /** Gives back what the worker writes through. */
  wrapStore?: (store: RunStore) => RunStore
  /** Flags of V8 for the child of an execution. */
  childArguments?: readonly string[]
  logger?: Logger
}

export interface RunningWorker {
  readonly id: string
  readonly devices: readonly Device[]
  /**
   * Takes nothing more, gives what runs 8 s to finish, then stops it and hands it back, and removes the worker.
   */
  stop(): Promise<void>
}

/**
 * Starts a worker in this process: for each device it offers it takes runs from the common queue, from its host's and
 * from its own, one at a time on this machine, each executed in a child process.
 * @throws AppError DEVICE_UNAVAILABLE where the probe finds no device that computes rightly
 */
export async function startWorker(
  config: Config,
  databaseUrl: string,
  parts: WorkerParts = {},
): Promise<RunningWorker> {
  const logger = parts.logger ?? createLogger('worker', config.logLevel)
  const id = randomUUID()
  const [machineId, devices] = await Promise.all([
    parts.machineId ?? readMachineId(),
    parts.devices ?? offeredDevices(logger),
  ])
  await migrateAll(databaseUrl, config)
  const endWatch = surviveConnectionLoss(
    (error) => logger.warn({ err: error }, 'a connection was lost'),
    (error) => {
      logger.fatal({ err: error }, 'unexpected')
      process.exit(1)
    },
  )
  const db = connectDatabase(databaseUrl, { maxConnections: 4 })
  const queueOptions: QueueOptions = {
    redisUrl: config.redisUrl,
    databaseUrl,
    ...(parts.queuePrefix === undefined ? {} : { prefix: parts.queuePrefix }),
    onError: (error) => logger.warn({ err: error }, 'the queue reports an error'),
  }
  const queues = openQueues(queueOptions)
  const worker: NewWorker = { id, hostname: parts.hostname ?? hostname(), pid: process.pid, machineId, devices }
  const ownQueues = queuesOfWorker(worker)
  const ownNames = new Set(ownQueues.map(queueName))
  let wake = () => {}
  const notifications = await listenToRuns(databaseUrl, (name) => {
    if (name === null || ownNames.has(name)) wake()
  })
  const stopping = new AbortController()
  const closing = new AbortController()
  const inHand = new Set<string>()
  const databaseStore = openRunStore(db, { workerId: id, queueLockMs: config.queueLockMs, signal: stopping.signal })
  const store = parts.wrapStore?.(databaseStore) ?? databaseStore
  await registerWorker(db, worker)
  const stopBeating = keepPresent({ db, store, queues, config, logger, worker, inHand })
  const sweeper = startSweeper({ db, queues, config, logger })
  const context: ProcessContext = {
    store,
    queues,
    config,
    logger,
    onRun: notifications.onRun,
    signal: stopping.signal,
    inHand,
    execArgv: parts.childArguments ?? [],
  }
  const reader = openQueueReader(ownQueues, queueOptions, config, () => wake())
  await reader.ready()
  const { queueLockMs, queueCheckMs } = config
  const taking = takeMessages({
    reader,
    waitForTurn: () =>
      waitForTurn({ db, databaseUrl, machineId, workerId: id, queueLockMs, logger, signal: closing.signal }),
    handle: (runId) => processRun(runId, context),
    everyMs: queueCheckMs,
    onError: (error) => logger.warn({ err: error }, 'taking a message failed'),
  })
  wake = taking.wake
  logger.info({ worker: id, machineId, devices, queue: queues.backend }, 'worker ready')

  const stop = async () => {
    logger.info({ worker: id, running: inHand.size }, 'worker stopping')
    closing.abort()
    const patience = setTimeout(() => stopping.abort(), finishMs)
    await Promise.all([sweeper.stop(), taking.stop()])
    clearTimeout(patience)
    await stopBeating()
    await removeWorker(db, id)
  }
  const close = async () => {
    const bound = setTimeoutPromise(closeMs, undefined, { ref: false })
    // A database that is gone must not keep the worker: its run is taken up when its silence shows.
    await Promise.race([stop(), bound]).catch((error: unknown) => logger.warn({ err: error }, 'stopping'))
    const closed = Promise.allSettled([notifications.close(), reader.close(), queues.close(), db.close()])
    await Promise.race([closed, setTimeoutPromise(500, undefined, { ref: false })])
    endWatch()
    logger.info({ worker: id }, 'worker stopped')
  }
  let stopped: Promise<void> | null = null
  return {
    id,
    devices,
    stop() {
      stopped ??= close()
      return stopped
    },
  }
}

async function offeredDevices(logger: Logger): Promise<readonly Device[]> {
  const devices = await probeDevices((device, reason) => logger.debug({ device, reason }, 'device not offered'))
  if (devices.length > 0) return devices
  throw new AppError(
    'DEVICE_UNAVAILABLE',
    'no execution provider of onnxruntime computes rightly on this machine',
    'The lines above say what each of them answered.',
  )
}

/**
 * Runs a worker until SIGTERM or SIGINT, then ends the process within 10 s; a second signal ends it at once.
 */
export async function runWorkerProcess(config: Config, databaseUrl: string, parts: WorkerParts = {}): Promise<void> {
  const worker = await startWorker(config, databaseUrl, parts)
  let asked = false
  const onSignal = () => {
    if (asked) process.exit(1)
    asked = true
    void worker.stop().then(() => process.exit(0))
  }
  process.on('SIGTERM', onSignal)
  process.on('SIGINT', onSignal)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const config = readConfig()
  if (config.databaseUrl === null) {
    throw new AppError('VALIDATION_FAILED', 'DATABASE_URL is not set', 'Set it, or use "kvscope worker".')
  }
  await runWorkerProcess(config, config.databaseUrl)
}
