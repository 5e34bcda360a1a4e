import { randomUUID } from 'node:crypto'
import { CancelRunDocument, StartBenchmarkDocument, type StartBenchmarkInput } from '../generated/operations.ts'
import { type ApiClient, createApiClient, type RunEvent } from './client.ts'

interface Submitter {
  /** the bearer token, where the server asks for one */
  secret: string | undefined
  /** interrupts it */
  signal: AbortSignal
  /** all that an interrupted submitter takes for the sake of its run */
  cancelMs?: number
}

/**
 * Submits a benchmark and follows it to its end. When the signal aborts, at whatever moment, the run is cancelled, not
 * left to the next start.
 * @param onEvent told each event, and the fraction done by then
 * @returns the id of the run, which has ended
 * @throws AppError as the client does
 */
export async function submitAndFollow(
  client: ApiClient,
  input: StartBenchmarkInput,
  { secret, signal, cancelMs = 2_000 }: Submitter,
  onEvent: (event: RunEvent, fraction: number) => void,
): Promise<string> {
  const submission = { input: { ...input, idempotencyKey: randomUUID() } }
  let id: string | null = null
  // Before anything was sent there is nothing to cancel.
  signal.throwIfAborted()
  try {
    const { startBenchmark } = await client.request(StartBenchmarkDocument, submission)
    id = startBenchmark.run.id
    let fraction = 0
    for await (const event of client.follow(id)) {
      fraction = event.fraction ?? fraction
      onEvent(event, fraction)
    }
    return id
  } catch (error) {
    if (signal.aborted) {
      // The client's own signal would refuse every request by now.
      const limits = { signal: AbortSignal.timeout(cancelMs), retryMs: cancelMs }
      await cancel(createApiClient(client.address, { secret, ...limits }), id, submission)
    }
    throw error
  }
}

/** @param id null where the answer was still awaited: the same submission, made again, finds the run or becomes it */
async function cancel(client: ApiClient, id: string | null, submission: { input: StartBenchmarkInput }): Promise<void> {
  try {
    const found = id ?? (await client.request(StartBenchmarkDocument, submission)).startBenchmark.run.id
    await client.request(CancelRunDocument, { id: found })
  } catch {
    // The API is gone, or the run has ended.
  }
}
