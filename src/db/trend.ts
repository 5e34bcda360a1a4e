import { type Device, type Phase, Prisma, type Runtime } from '../generated/prisma/client.ts'
import { median } from '../stats/quantile.ts'
import { medianInterval } from '../stats/summary.ts'
import type { Queries } from './client.ts'
import { filterCondition, type RunFilter } from './run-filter.ts'
import { requireStorable } from './stored-text.ts'

/** Which series, over which runs. */
export interface TrendRequest {
  /** name of the subject */
  subject: string
  phase: Phase
  /** llama-bench's name; empty for load, cold and forward */
  test: string
  /** must have been measured, besides the samples */
  column: 'kvCacheBytes' | 'peakMemoryBytes' | null
  filter: RunFilter
  /** the newest so many */
  limit: number
}

/** What one run says of the series, with what tells whether two runs can stand in one line. */
export interface TrendRow {
  runId: string
  queuedAt: Date
  /** milliseconds of a trial, its interval null under five samples */
  median: number
  intervalLow: number | null
  intervalHigh: number | null
  /** (promptTokens + generatedTokens) x batch of a trial */
  tokens: number
  kvCacheBytes: number | null
  peakMemoryBytes: number | null
  device: Device
  dtype: string | null
  computeDtype: string | null
  threads: number | null
  runtime: Runtime
  hostname: string | null
}

/** A series without a stored median is of a run before it was kept: its samples come along. */
type StoredRow = Omit<TrendRow, 'median'> & { median: number | null; samples: number[] | null }

/**
 * One row for each of the newest benchmarks that SUCCEEDED and measured the series, newest first. One statement.
 * @throws AppError VALIDATION_FAILED for text that PostgreSQL cannot hold
 */
export async function findTrend(db: Queries, request: TrendRequest): Promise<TrendRow[]> {
  const { phase, column, filter, limit } = request
  const subject = requireStorable('the subject', request.subject)
  const test = requireStorable('the test', request.test)
  const measured = column === null ? Prisma.sql`TRUE` : Prisma.raw(`series."${column}" > 0`)
  const rows = await db.$queryRaw<StoredRow[]>`
    SELECT run.id::text AS "runId", run."queuedAt", run.hostname, subject.device, subject.dtype, subject."computeDtype",
      subject.threads, subject.runtime, series.median, series."intervalLow", series."intervalHigh",
      ((series."promptTokens" + series."generatedTokens") * series.batch)::float8 AS tokens,
      series."kvCacheBytes"::float8 AS "kvCacheBytes", series."peakMemoryBytes"::float8 AS "peakMemoryBytes",
      CASE WHEN series.median IS NULL THEN series.samples END AS samples
    FROM "Run" AS run
    JOIN "Subject" AS subject ON subject."runId" = run.id AND subject.name = ${subject}
    JOIN "Series" AS series ON series."runId" = run.id AND series.attempt = run.attempt
      AND series."subjectIndex" = subject.index AND series.phase = ${phase}::"Phase" AND series.test = ${test}
    WHERE run.kind = 'BENCHMARK' AND run.status = 'SUCCEEDED' AND cardinality(series.samples) > 0 AND ${measured}
      AND ${filterCondition(filter)}
    ORDER BY run."queuedAt" DESC, run.id DESC LIMIT ${limit}`
  return rows.map(withMedian)
}

function withMedian({ samples, ...row }: StoredRow): TrendRow {
  if (row.median !== null) return { ...row, median: row.median }
  const interval = medianInterval(samples ?? [])
  return {
    ...row,
    median: median(samples ?? []),
    intervalLow: interval?.low ?? null,
    intervalHigh: interval?.high ?? null,
  }
}
