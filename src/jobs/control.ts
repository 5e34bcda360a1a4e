import type { Database } from '../db/client.ts'
import type { RunRow } from '../db/rows.ts'
import { cancelRun, retryRun } from '../db/runs.ts'
import { enqueueOrLeave } from './enqueue.ts'
import type { Queues } from './queues.ts'

/**
 * Cancels a run at once. Its worker finds that the run is no longer its own and kills the child within a second; a run
 * that has ended stays as it is.
 * @throws AppError NOT_FOUND
 */
export function cancel(db: Database, runId: string): Promise<RunRow> {
  return cancelRun(db, runId)
}

/**
 * Queues a failed or cancelled run for its next attempt.
 * @throws AppError NOT_FOUND, RUN_NOT_RETRYABLE
 */
export async function retry(
  { db, queues }: { db: Database; queues: Pick<Queues, 'enqueue'> },
  runId: string,
): Promise<RunRow> {
  const run = await retryRun(db, runId)
  await enqueueOrLeave(queues, run)
  return run
}
