import type { TrendInput } from '../generated/graphql.ts'
import type { AttentionHeadRow, Projection } from '../heads/rows.ts'
import { overviewAddress as overviewOfPage } from '../render/attention-tiles.ts'

// Paths below the API's address where pictures and arrays of a run are served. With the attempt in it, what stands at an
// address never changes and may be kept.

interface RunAttempt {
  id: string
  attempt: number
}

/** The picture of all maps of a layer over a prompt. */
export function attentionGridAddress(run: RunAttempt, prompt: number, layer: number): string {
  return `/runs/${run.id}/attention/${prompt}/${layer}/grid.svg?attempt=${run.attempt}`
}

/** The picture of one map. */
export function attentionImageAddress(run: RunAttempt, prompt: number, layer: number, head: number): string {
  return `/runs/${run.id}/attention/${prompt}/${layer}/${head}.svg?attempt=${run.attempt}`
}

/** One map as a NumPy file. */
export function attentionArrayAddress(run: RunAttempt, prompt: number, layer: number, head: number): string {
  return `/runs/${run.id}/attention/${prompt}/${layer}/${head}.npy?attempt=${run.attempt}`
}

/** All maps of a prompt at a glance. */
export function overviewAddress(run: RunAttempt, prompt: number): string {
  return overviewOfPage({ runId: run.id, attempt: run.attempt, prompt })
}

/** A tile of a map, with {level}, {row} and {column} to fill in. */
export function tileAddressTemplate(
  run: RunAttempt,
  { prompt, layer, head, storedAs }: Pick<AttentionHeadRow, 'prompt' | 'layer' | 'head' | 'storedAs'>,
): string {
  const place = `/runs/${run.id}/attention/${prompt}/${layer}/${head}/{level}/{row}/{column}`
  return `${place}.${storedAs.toLowerCase()}?attempt=${run.attempt}&statistic=mean`
}

/** The picture of how far apart the heads of a layer are. */
export function diversityAddress(run: RunAttempt, layer: number): string {
  return `/runs/${run.id}/attention/diversity/${layer}.svg?attempt=${run.attempt}`
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

/** The picture of a sweep. */
export function runChartAddress(run: RunAttempt): string {
  return `/runs/${run.id}/chart.svg?attempt=${run.attempt}`
}

/** The picture of a trend: what was asked for stands in the address, the filter as JSON. */
export function trendChartAddress({ subject, phase, test, metric, limit, filter }: TrendInput): string {
  const asked = new URLSearchParams({ subject, phase })
  if (test) asked.set('test', test)
  if (metric != null) asked.set('metric', metric)
  if (limit != null) asked.set('limit', String(limit))
  if (filter != null && Object.keys(filter).length > 0) asked.set('filter', JSON.stringify(filter))
  return `/trends/chart.svg?${asked}`
}
