import type { Config } from '../config.ts'
import type { Database } from '../db/client.ts'
import { failUnstarted } from '../db/runs.ts'
import { trySweepLock } from '../db/sweep-lock.ts'
import {
  deleteDeadWorkers,
  deleteEarlierAttempts,
  findOfferedDevices,
  findWaitingRuns,
  requeueOrphanedRuns,
  type UnfinishedRun,
} from '../db/unfinished-runs.ts'
import { AppError } from '../errors.ts'
import type { Logger } from '../log.ts'
import { type Device, devices } from './glossary.ts'
import type { Queues } from './queues.ts'

export interface SweepContext {
  db: Database
  queues: Pick<Queues, 'enqueue'>
  config: Pick<Config, 'sweepMs' | 'queueLockMs' | 'deviceTimeoutMs'>
  logger: Logger
}

export interface Sweeper {
  /** Sweeps now, unless another process does. */
  sweep(): Promise<void>
  /** Sweeps no more, and waits for a sweep under way. */
  stop(): Promise<void>
}

/** A message usually arrives within milliseconds; a run that waits for longer may have lost its own. */
const messageMs = 2000
/** So many of the oldest runs of a device are enqueued again in one sweep; later ones come up as these are done. */
const enqueuedAtOnce = 100
const dayMs = 86_400_000

function deviceUnavailable(device: Device, waitedMs: number): AppError {
  return new AppError(
    'DEVICE_UNAVAILABLE',
    `No live worker has offered ${device} for ${waitedMs / 1000} s.`,
    `Start one with "kvscope worker" on a machine whose onnxruntime has ${device}, then retry the run, or ask for another device.`,
  )
}

/**
 * Finds, every `sweepMs`, what a lost message or a dead process has left behind: runs to be enqueued (again), runs
 * whose worker is gone, runs whose device nobody offers, rows of earlier attempts, rows of dead workers. The API and every worker have a sweeper;
 * one sweeps at a time. Enqueuing what is enqueued already does nothing.
 */
export function startSweeper({ db, queues, config, logger }: SweepContext): Sweeper {
  const { sweepMs, queueLockMs, deviceTimeoutMs } = config
  // A worker that stops takes its row along, so each sweeper remembers when it last saw a device offered. A restarted
  // one gives the workers the whole time again.
  const lastOffered = new Map<Device, number>()
  // By the wall clock, which also shows that this machine slept.
  let lastLook = Date.now()
  let silenceCountsFrom = 0
  const offerAll = (now: number) => {
    for (const device of devices) lastOffered.set(device, now)
  }
  offerAll(lastLook)

  /**
   * Silence counts only while somebody could have been heard: while the database is away nobody beats, and the first
   * look afterwards finds living workers silent. All get the whole time again then.
   */
  const look = async () => {
    const offered = await findOfferedDevices(db, queueLockMs)
    const now = Date.now()
    if (now - lastLook > Math.max(2 * sweepMs, queueLockMs / 2)) {
      logger.warn({ forMs: now - lastLook }, 'the workers could not be seen')
      offerAll(now)
      silenceCountsFrom = now + queueLockMs
    }
    lastLook = now
    for (const device of offered) lastOffered.set(device, now)
  }

  const enqueue = async (runs: UnfinishedRun[], why: string) => {
    for (const { id, device, attempt } of runs) {
      logger.debug({ runId: id, device, attempt: attempt + 1 }, why)
      await queues.enqueue(id, device, attempt + 1)
    }
  }

  const failUnserved = async () => {
    const unserved = devices.filter((device) => lastLook - (lastOffered.get(device) ?? lastLook) >= deviceTimeoutMs)
    for (const device of unserved) {
      const failed = await failUnstarted(db, device, deviceTimeoutMs, deviceUnavailable(device, deviceTimeoutMs))
      if (failed > 0) logger.warn({ device, runs: failed }, 'no worker offers the device')
    }
  }

  const sweepOnce = async () => {
    await look()
    await trySweepLock(db, async () => {
      if (lastLook >= silenceCountsFrom) await enqueue(await requeueOrphanedRuns(db, queueLockMs), 'its worker is gone')
      await failUnserved()
      await enqueue(await findWaitingRuns(db, messageMs, enqueuedAtOnce), 'its message may be lost')
      await deleteEarlierAttempts(db)
      await deleteDeadWorkers(db, dayMs)
    })
  }

  let underWay: Promise<void> | null = null
  const sweep = () => {
    underWay ??= sweepOnce().finally(() => {
      underWay = null
    })
    return underWay
  }
  const timer = setInterval(() => {
    // The next sweep tries again; a database or queue that is gone is reported by those who need it.
    sweep().catch((error: unknown) => logger.warn({ err: error }, 'the sweep failed'))
  }, sweepMs)
  return {
    sweep,
    async stop() {
      clearInterval(timer)
      await underWay?.catch(() => undefined)
    },
  }
}
