import { randomUUID } from 'node:crypto'
import { CancelRunDocument, StartBenchmarkDocument, type StartBenchmarkInput } from '../generated/operations.ts'
import { type ApiClient, createApiClient, type RunEvent } from './client.ts'

/** All that an interrupted command takes for the sake of its run. */
const cancelMs = 2_000

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
  { secret, signal }: { secret: string | undefined; signal: AbortSignal },
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
    if (signal.aborted) await cancel(client.address, secret, id, submission)
    throw error
  }
}

/** @param id null where the answer was still awaited: the same submission, made again, finds the run or becomes it */
async function cancel(
  address: string,
  secret: string | undefined,
  id: string | null,
  submission: { input: StartBenchmarkInput },
): Promise<void> {
  const client = createApiClient(address, { secret, signal: AbortSignal.timeout(cancelMs), retryMs: cancelMs })
  try {
    const found = id ?? (await client.request(StartBenchmarkDocument, submission)).startBenchmark.run.id
    await client.request(CancelRunDocument, { id: found })
  } catch {
    // The API is gone, or the run has ended.
  }
}
