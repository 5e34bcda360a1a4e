import { type Device, type Phase, Prisma, type Runtime } from '../generated/prisma/client.ts'
import { median } from '../stats/quantile.ts'
import { medianInterval } from '../stats/summary.ts'
import type { Queries } from './client.ts'
import { storedLevel } from './results.ts'
import { type FilterUse, filterCondition, type RunFilter } from './run-filter.ts'
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

/** For each run that is wanted, so many of the newest are asked one by one before all that have the subject are found. */
const nearRuns = 10

/**
 * One row for each of the newest benchmarks that SUCCEEDED and measured the series, newest first; a run whose series has
 * no samples, or not the column, is left out of them. One statement, in two steps as run-pages has them.
 * @throws AppError VALIDATION_FAILED for text that PostgreSQL cannot hold
 */
export async function findTrend(db: Queries, request: TrendRequest): Promise<TrendRow[]> {
  const { column, limit } = request
  const measured = column === null ? Prisma.sql`TRUE` : Prisma.raw(`series."${column}" > 0`)
  const rows = await db.$queryRaw<StoredRow[]>`
    WITH near AS MATERIALIZED (
      SELECT run.id, run.attempt, run."queuedAt", subject.index FROM (
        SELECT * FROM "Run" WHERE ${succeeded} ORDER BY "queuedAt" DESC, id DESC LIMIT ${nearRuns * limit}
      ) AS run JOIN "Subject" AS subject ON subject."runId" = run.id
      WHERE ${hasSeries(request, 'run by run')} ORDER BY run."queuedAt" DESC, run.id DESC LIMIT ${limit}
    ), far AS MATERIALIZED (
      SELECT run.id, run.attempt, run."queuedAt", subject.index
      FROM "Run" AS run JOIN "Subject" AS subject ON subject."runId" = run.id
      WHERE (SELECT count(*) FROM near) < ${limit} AND ${succeeded} AND ${hasSeries(request, 'all runs')}
    ), found AS MATERIALIZED (
      SELECT * FROM near WHERE (SELECT count(*) FROM near) >= ${limit} UNION ALL SELECT * FROM far
      ORDER BY "queuedAt" DESC, id DESC LIMIT ${limit}
    )
    SELECT found.id::text AS "runId", found."queuedAt", run.hostname, subject.device, subject.dtype, subject."computeDtype",
      subject.threads, subject.runtime, series.median, series."intervalLow", series."intervalHigh",
      ((series."promptTokens" + series."generatedTokens") * series.batch)::float8 AS tokens,
      series."kvCacheBytes"::float8 AS "kvCacheBytes", series."peakMemoryBytes"::float8 AS "peakMemoryBytes",
      CASE WHEN series.median IS NULL THEN series.samples END AS samples
    FROM found
    CROSS JOIN LATERAL (SELECT hostname FROM "Run" WHERE id = found.id OFFSET 0) AS run
    CROSS JOIN LATERAL (SELECT * FROM "Subject" WHERE "runId" = found.id AND index = found.index OFFSET 0) AS subject
    CROSS JOIN LATERAL (
      SELECT * FROM "Series" AS series WHERE series."runId" = found.id AND ${seriesOf(request)} OFFSET 0
    ) AS series
    WHERE cardinality(series.samples) > 0 AND ${measured} ORDER BY found."queuedAt" DESC, found.id DESC`
  return rows.map(withMedian)
}

const succeeded = Prisma.sql`kind = 'BENCHMARK' AND status = 'SUCCEEDED'`

/** On a run and a subject of it. */
function hasSeries(request: TrendRequest, use: FilterUse): Prisma.Sql {
  const filter = filterCondition(request.filter, use) ?? Prisma.sql`TRUE`
  return Prisma.sql`subject.name = ${requireStorable('the subject', request.subject)} AND EXISTS (
    SELECT 1 FROM "Series" AS series, (SELECT run.attempt, subject.index) AS found
    WHERE series."runId" = run.id AND ${seriesOf(request)} OFFSET 0) AND ${filter}`
}

function seriesOf({ phase, test }: TrendRequest): Prisma.Sql {
  return Prisma.sql`series.attempt = found.attempt AND series."subjectIndex" = found.index
    AND series.phase = ${phase}::"Phase" AND series.test = ${requireStorable('the test', test)}`
}

function withMedian({ samples, ...row }: StoredRow): TrendRow {
  if (row.median !== null) return { ...row, median: row.median }
  const interval = medianInterval(samples ?? [], { level: storedLevel })
  return {
    ...row,
    median: median(samples ?? []),
    intervalLow: interval?.low ?? null,
    intervalHigh: interval?.high ?? null,
  }
}
