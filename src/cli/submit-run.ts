import { randomUUID } from 'node:crypto'
import {
  CancelRunDocument,
  StartAttentionMapsDocument,
  type StartAttentionMapsInput,
  StartBenchmarkDocument,
  type StartBenchmarkInput,
  StartWeightSlicesDocument,
  type StartWeightSlicesInput,
} from '../generated/operations.ts'
import { type ApiClient, createApiClient, type RunEvent } from './client.ts'

/** What a run of each kind is asked to do. */
export type RunInput =
  | { kind: 'BENCHMARK'; input: StartBenchmarkInput }
  | { kind: 'WEIGHT_SLICES'; input: StartWeightSlicesInput }
  | { kind: 'ATTENTION_MAPS'; input: StartAttentionMapsInput }

interface Submitter {
  /** the bearer token, where the server asks for one */
  secret: string | undefined
  /** interrupts it */
  signal: AbortSignal
  /** all that an interrupted submitter takes for the sake of its run */
  cancelMs?: number
}

/**
 * Submits a run and follows it to its end. When the signal aborts, at whatever moment, the run is cancelled, not
 * left to the next start.
 * @param onEvent told each event, and the fraction done by then
 * @returns the id of the run, which has ended
 * @throws AppError as the client does
 */
export async function submitAndFollow(
  client: ApiClient,
  asked: RunInput,
  { secret, signal, cancelMs = 2_000 }: Submitter,
  onEvent: (event: RunEvent, fraction: number) => void,
): Promise<string> {
  const key = randomUUID()
  let id: string | null = null
  // Before anything was sent there is nothing to cancel.
  signal.throwIfAborted()
  try {
    id = await start(client, asked, key)
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
      await cancel(createApiClient(client.address, { secret, ...limits }), id, asked, key)
    }
    throw error
  }
}

/** @returns the id of the run, the same for the same key */
async function start(client: ApiClient, asked: RunInput, idempotencyKey: string): Promise<string> {
  switch (asked.kind) {
    case 'BENCHMARK': {
      const input = { ...asked.input, idempotencyKey }
      return (await client.request(StartBenchmarkDocument, { input })).startBenchmark.run.id
    }
    case 'WEIGHT_SLICES': {
      const input = { ...asked.input, idempotencyKey }
      return (await client.request(StartWeightSlicesDocument, { input })).startWeightSlices.run.id
    }
    case 'ATTENTION_MAPS': {
      const input = { ...asked.input, idempotencyKey }
      return (await client.request(StartAttentionMapsDocument, { input })).startAttentionMaps.run.id
    }
  }
}

/** @param id null where the answer was still awaited: the same submission, made again, finds the run or becomes it */
async function cancel(client: ApiClient, id: string | null, asked: RunInput, key: string): Promise<void> {
  try {
    const found = id ?? (await start(client, asked, key))
    await client.request(CancelRunDocument, { id: found })
  } catch {
    // The API is gone, or the run has ended.
  }
}
