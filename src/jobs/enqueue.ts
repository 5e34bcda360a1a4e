import type { Device } from './glossary.ts'
import type { Queues } from './queues.ts'

/**
 * Enqueues a run whose row is committed. A queue that cannot be reached fails nobody's request: the sweeper finds the
 * run waiting and enqueues it.
 */
export async function enqueueOrLeave(
  queues: Pick<Queues, 'enqueue'>,
  runId: string,
  device: Device,
  attempt: number,
): Promise<void> {
  try {
    await queues.enqueue(runId, device, attempt)
  } catch {
    // The queue told its own onError.
  }
}
