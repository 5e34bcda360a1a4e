import type { UnfinishedRun } from '../db/unfinished-runs.ts'
import type { Queues } from './queues.ts'

/**
 * Enqueues the next attempt at a run whose row is committed. A queue that cannot be reached fails nobody's request: the
 * sweeper finds the run waiting and enqueues it.
 */
export async function enqueueOrLeave(queues: Pick<Queues, 'enqueue'>, run: UnfinishedRun): Promise<void> {
  try {
    await queues.enqueue(run.id, run, run.attempt + 1)
  } catch {
    // The queue told its own onError.
  }
}
