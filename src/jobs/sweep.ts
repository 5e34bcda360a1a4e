import type { Config } from '../config.ts'
import type { Database } from '../db/client.ts'
import { deleteLeftTiles } from '../db/delete-runs.ts'
import { failUnstarted } from '../db/runs.ts'
import { trySweepLock } from '../db/sweep-lock.ts'
import {
  deleteDeadWorkers,
  deleteEarlierAttempts,
  findWaitedQueues,
  findWaitingRuns,
  requeueOrphanedRuns,
  type UnfinishedRun,
} from '../db/unfinished-runs.ts'
import { findOffers, type Offer } from '../db/workers.ts'
import type { Logger } from '../log.ts'
import { unserved } from './placement.ts'
import { queueName, queuesOfWorker } from './queue-names.ts'
import type { Queues } from './queues.ts'

export interface SweepContext {
  db: Database
  queues: Pick<Queues, 'enqueue' | 'empty'>
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
/** So many of the oldest runs of a queue are enqueued again in one sweep; later ones come up as these are done. */
const enqueuedAtOnce = 100
const dayMs = 86_400_000

/**
 * Finds, every `sweepMs`, what a lost message or a dead process has left behind: runs to be enqueued (again), runs
 * whose worker is gone, runs whose queue nobody reads, rows of earlier attempts, tiles of
 * deleted runs, rows of dead workers. A run that is placed
 * stays where it is placed, whoever else is idle. The API and every worker have a sweeper; one sweeps at a time. Enqueuing
 * what is enqueued already does nothing.
 */
export function startSweeper({ db, queues, config, logger }: SweepContext): Sweeper {
  const { sweepMs, queueLockMs, deviceTimeoutMs } = config
  // A worker that stops takes its row along, so each sweeper remembers when it last saw a queue served. A restarted one
  // gives the workers the whole time again.
  const lastServed = new Map<string, number>()
  let offers: Offer[] = []
  // By the wall clock, which also shows that this machine slept.
  let lastLook = Date.now()
  let absenceCountsFrom = lastLook
  let silenceCountsFrom = 0

  /**
   * Silence counts only while somebody could have been heard: while the database is away nobody beats, and the first
   * look afterwards finds living workers silent. All get the whole time again then.
   */
  const look = async () => {
    offers = await findOffers(db, queueLockMs)
    const now = Date.now()
    if (now - lastLook > Math.max(2 * sweepMs, queueLockMs / 2)) {
      logger.warn({ forMs: now - lastLook }, 'the workers could not be seen')
      absenceCountsFrom = now
      silenceCountsFrom = now + queueLockMs
    }
    lastLook = now
    for (const [name, seen] of lastServed) if (now - seen > deviceTimeoutMs) lastServed.delete(name)
    for (const queue of offers.flatMap(queuesOfWorker)) lastServed.set(queueName(queue), now)
  }

  const enqueue = async (runs: UnfinishedRun[], why: string) => {
    for (const run of runs) {
      logger.debug({ runId: run.id, queue: queueName(run), attempt: run.attempt + 1 }, why)
      await queues.enqueue(run.id, run, run.attempt + 1)
    }
  }

  const failUnserved = async () => {
    for (const queue of await findWaitedQueues(db)) {
      const name = queueName(queue)
      if (lastLook - Math.max(lastServed.get(name) ?? 0, absenceCountsFrom) < deviceTimeoutMs) continue
      const failed = await failUnstarted(db, queue, deviceTimeoutMs, unserved(queue, offers, deviceTimeoutMs))
      if (failed === 0) continue
      logger.warn({ queue: name, runs: failed }, 'no worker reads the queue')
      // A worker's id never comes back, and nobody would ever read what lies in its queue.
      if (queue.placedWorkerId !== null) await queues.empty(queue)
    }
  }

  const sweepOnce = async () => {
    await look()
    await trySweepLock(db, async () => {
      if (lastLook >= silenceCountsFrom) await enqueue(await requeueOrphanedRuns(db, queueLockMs), 'its worker is gone')
      await failUnserved()
      await enqueue(await findWaitingRuns(db, messageMs, enqueuedAtOnce), 'its message may be lost')
      await deleteEarlierAttempts(db)
      await deleteLeftTiles(db)
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
