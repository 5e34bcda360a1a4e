import type { Config } from '../config.ts'
import type { Database } from '../db/client.ts'
import { findRunsOfWorker } from '../db/unfinished-runs.ts'
import { beat, type NewWorker, registerWorker } from '../db/workers.ts'
import { enqueueOrLeave } from '../jobs/enqueue.ts'
import type { Queues } from '../jobs/queues.ts'
import type { Logger } from '../log.ts'
import type { RunStore } from './run-store.ts'

export interface PresenceContext {
  db: Database
  store: RunStore
  queues: Pick<Queues, 'enqueue'>
  config: Pick<Config, 'heartbeatMs'>
  logger: Logger
  worker: NewWorker
  /** Runs this process is at. */
  inHand: ReadonlySet<string>
}

/**
 * Says every `heartbeatMs` that this worker lives, and gives back runs that the database says it is running while it
 * is not: the answer to a write can be lost together with the database.
 * @returns stops it, waiting for a beat under way
 */
export function keepPresent(context: PresenceContext): () => Promise<void> {
  const { db, store, queues, config, logger, worker, inHand } = context

  const once = async () => {
    if (!(await beat(db, worker.id))) await registerWorker(db, worker)
    for (const run of await findRunsOfWorker(db, worker.id)) {
      const { id, attempt } = run
      if (inHand.has(id)) continue
      logger.warn({ runId: id, attempt }, 'handing back a run that this worker is not at')
      if (await store.handBack({ runId: id, attempt })) await enqueueOrLeave(queues, run)
    }
  }

  let underWay: Promise<void> | null = null
  const timer = setInterval(() => {
    underWay ??= once()
      .catch((error: unknown) => logger.warn({ err: error }, 'the heartbeat failed'))
      .finally(() => {
        underWay = null
      })
  }, config.heartbeatMs)
  return async () => {
    clearInterval(timer)
    await underWay
  }
}
