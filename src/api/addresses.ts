import type { Projection } from '../heads/rows.ts'

// Paths below the API's address where pictures and arrays of a run are served. With the attempt in it, what stands at an
// address never changes and may be kept.

interface RunAttempt {
  id: string
  attempt: number
}

/** The picture of all heads of a layer. */
export function weightGridAddress(run: RunAttempt, layer: number, projection: Projection): string {
  return `/runs/${run.id}/weights/${layer}/${projection}/grid.svg?attempt=${run.attempt}`
}

/** The picture of one head's slice. */
export function weightImageAddress(run: RunAttempt, layer: number, projection: Projection, head: number): string {
  return `/runs/${run.id}/weights/${layer}/${projection}/${head}.svg?attempt=${run.attempt}`
}

/** One head's slice as a NumPy file. */
export function weightArrayAddress(run: RunAttempt, layer: number, projection: Projection, head: number): string {
  return `/runs/${run.id}/weights/${layer}/${projection}/${head}.npy?attempt=${run.attempt}`
}

/** The picture of candidate - baseline of one head's slice. It carries no attempt: it shows the latest of both. */
export function weightDifferenceAddress(
  candidateId: string,
  baselineId: string,
  layer: number,
  projection: Projection,
  head: number,
): string {
  return `/runs/${candidateId}/weights/${layer}/${projection}/${head}/difference.svg?baseline=${baselineId}`
}
