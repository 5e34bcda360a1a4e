import type { Database } from '../db/client.ts'
import { appendProgress } from '../db/events.ts'
import { insertHeadRows } from '../db/head-rows.ts'
import { completeSubjects, insertSeries } from '../db/results.ts'
import { finishRun, handBackRun, runStillMine, takeRun } from '../db/runs.ts'
import { databaseTime } from '../db/workers.ts'
import { AppError } from '../errors.ts'
import { type Patience, tryPatiently } from './patience.ts'
import type { RunStore } from './run-store.ts'

export interface StoreContext {
  workerId: string
  /** A worker that has said nothing for so long is taken for dead. */
  queueLockMs: number
  /** Aborted when the worker no longer waits for what runs. */
  signal: AbortSignal
}

/** A restart of PostgreSQL, recovery included, is over in less. */
const patienceMs = 60_000

/**
 * The writes of a worker's executions into the database. A write that fails is tried again for a minute: a result is
 * worth more than the time, and what was stored already is not stored twice, as rows are unique in their attempt and
 * transitions are guarded.
 */
export function openRunStore(db: Database, { workerId, queueLockMs, signal }: StoreContext): RunStore {
  const patience: Patience = {
    forMs: patienceMs,
    everyMs: 250,
    // What the database refuses it refuses again; the rest is its absence.
    mayPass: (error) => !(error instanceof AppError),
    signal,
  }
  const patiently = <T>(work: () => Promise<T>) => tryPatiently(work, patience)
  return {
    take: (runId) => patiently(async () => takeRun(db, runId, workerId, await databaseTime(db, queueLockMs))),
    isMine: (guard) => runStillMine(db, guard),
    addProgress: (guard, fraction, message) => patiently(() => appendProgress(db, guard, { fraction, message })),
    completeSubjects: (guard, rows) => patiently(() => completeSubjects(db, guard, rows)),
    insertSeries: (guard, rows) => patiently(() => insertSeries(db, guard, rows)),
    insertHeads: (guard, batch) => patiently(() => insertHeadRows(db, guard, batch)),
    finish: (guard, result, log) =>
      patiently(() =>
        finishRun(
          db,
          guard,
          'error' in result ? { status: 'FAILED', ...result, log } : { status: 'SUCCEEDED', ...result.outcome },
        ),
      ),
    handBack: (guard) => patiently(() => handBackRun(db, guard)),
  }
}
