import type { Series } from '../generated/prisma/client.ts'
import type { MeasuredSeries, Warning } from '../stats/measured-series.ts'
import { median } from '../stats/quantile.ts'
import { medianInterval } from '../stats/summary.ts'
import type { Database, Queries } from './client.ts'
import type { Guard, OpenedSubjectRow, StoredSeries } from './rows.ts'
import { isRunId } from './run-id.ts'
import { isRunningAttempt } from './run-moves.ts'
import { storableJson } from './stored-text.ts'

/**
 * Stores a batch of series under the guard's attempt. The run's row is locked against a new attempt while they are
 * written. A batch that comes again, as after an answer that was lost, replaces itself.
 * @returns false where the run is no longer this attempt's; then nothing was written
 */
export async function insertSeries(db: Database, guard: Guard, rows: readonly MeasuredSeries[]): Promise<boolean> {
  const result = await db.$queryRaw<unknown[]>`
    WITH run AS (
      SELECT id, attempt FROM "Run" WHERE ${isRunningAttempt(guard)} FOR SHARE
    ), stored AS (
      INSERT INTO "Series" ("runId", attempt, "subjectIndex", phase, test, "promptTokens", "generatedTokens", depth, batch,
        samples, median, "intervalLow", "intervalHigh", "kvCacheBytes", "kvCacheBytesPredicted", "kvCacheBytesAllocated",
        "peakMemoryBytes", "peakMemoryBytesPredicted", "bytesRead", "kvBytesRead", flops, warnings)
      SELECT run.id, run.attempt, item."subjectIndex", item.phase, item.test, item."promptTokens", item."generatedTokens",
        item.depth, item.batch, item.samples, item.median, item."intervalLow", item."intervalHigh", item."kvCacheBytes",
        item."kvCacheBytesPredicted", item."kvCacheBytesAllocated", item."peakMemoryBytes",
        item."peakMemoryBytesPredicted", item."bytesRead", item."kvBytesRead", item.flops, item.warnings
      FROM run, jsonb_to_recordset(${storableJson('a series', rows.map(withMedian))}::jsonb) AS item(
        "subjectIndex" int, phase "Phase", test text, "promptTokens" int, "generatedTokens" int, depth int, batch int,
        samples float8[], median float8, "intervalLow" float8, "intervalHigh" float8, "kvCacheBytes" bigint,
        "kvCacheBytesPredicted" bigint, "kvCacheBytesAllocated" bigint, "peakMemoryBytes" bigint,
        "peakMemoryBytesPredicted" bigint, "bytesRead" bigint, "kvBytesRead" bigint, flops float8, warnings jsonb)
      ON CONFLICT ("runId", attempt, "subjectIndex", phase, test) DO UPDATE SET
        "promptTokens" = excluded."promptTokens", "generatedTokens" = excluded."generatedTokens",
        depth = excluded.depth, batch = excluded.batch, samples = excluded.samples, median = excluded.median,
        "intervalLow" = excluded."intervalLow", "intervalHigh" = excluded."intervalHigh",
        "kvCacheBytes" = excluded."kvCacheBytes", "kvCacheBytesPredicted" = excluded."kvCacheBytesPredicted",
        "kvCacheBytesAllocated" = excluded."kvCacheBytesAllocated", "peakMemoryBytes" = excluded."peakMemoryBytes",
        "peakMemoryBytesPredicted" = excluded."peakMemoryBytesPredicted", "bytesRead" = excluded."bytesRead",
        "kvBytesRead" = excluded."kvBytesRead", flops = excluded.flops, warnings = excluded.warnings
    )
    SELECT id FROM run`
  return result.length > 0
}

/**
 * Adds to subjects what is known once their weights have been opened.
 * @returns false where the run is no longer this attempt's; then nothing was written
 */
export async function completeSubjects(
  db: Database,
  guard: Guard,
  rows: readonly OpenedSubjectRow[],
): Promise<boolean> {
  const result = await db.$queryRaw<unknown[]>`
    WITH run AS (
      SELECT id FROM "Run" WHERE ${isRunningAttempt(guard)} FOR SHARE
    ), completed AS (
      UPDATE "Subject" AS subject SET dtype = item.dtype, "computeDtype" = item."computeDtype",
        fingerprint = item.fingerprint, threads = coalesce(item.threads, subject.threads),
        model = coalesce(item.model, subject.model)
      FROM run, jsonb_to_recordset(${storableJson('a subject', rows)}::jsonb) AS item(
        index int, dtype text, "computeDtype" text, fingerprint text, threads int, model jsonb)
      WHERE subject."runId" = run.id AND subject.index = item.index
    )
    SELECT id FROM run`
  return result.length > 0
}

/** The series of each run's latest attempt, by run: in the order in which they were stored. */
export async function findSeries(db: Queries, runIds: readonly string[]): Promise<Map<string, StoredSeries[]>> {
  const rows = await db.$queryRaw<Series[]>`
    SELECT series.* FROM "Series" AS series JOIN "Run" AS run ON run.id = series."runId" AND run.attempt = series.attempt
    WHERE series."runId" = ANY(${runIds.filter(isRunId)}::uuid[]) ORDER BY series.id`
  const found = new Map<string, StoredSeries[]>(runIds.map((id) => [id, []]))
  for (const row of rows) found.get(row.runId)?.push(toStoredSeries(row))
  return found
}

/** A trend reads thousands of medians with their intervals, and an interval takes 2,000 resamples: both are stored. */
function withMedian(row: MeasuredSeries) {
  const interval = medianInterval(row.samples, { level: storedLevel })
  return {
    ...row,
    median: row.samples.length === 0 ? null : median(row.samples),
    intervalLow: interval?.low ?? null,
    intervalHigh: interval?.high ?? null,
  }
}

/** Of `withMedian`, and so of every interval that is stored. */
export const storedLevel = 0.95

function toStoredSeries({ id: _id, median: _median, intervalLow, intervalHigh, ...row }: Series): StoredSeries {
  const bytes = (value: bigint | null) => (value === null ? null : Number(value))
  return {
    ...row,
    storedInterval:
      intervalLow === null || intervalHigh === null
        ? null
        : { low: intervalLow, high: intervalHigh, level: storedLevel },
    kvCacheBytes: bytes(row.kvCacheBytes),
    kvCacheBytesPredicted: bytes(row.kvCacheBytesPredicted),
    kvCacheBytesAllocated: bytes(row.kvCacheBytesAllocated),
    peakMemoryBytes: bytes(row.peakMemoryBytes),
    peakMemoryBytesPredicted: bytes(row.peakMemoryBytesPredicted),
    bytesRead: bytes(row.bytesRead),
    kvBytesRead: bytes(row.kvBytesRead),
    warnings: readWarnings(row.warnings),
  }
}

/** Warnings out of a jsonb column; what does not have their form is left out. */
export function readWarnings(value: unknown): Warning[] {
  if (!Array.isArray(value)) return []
  return value.flatMap((item: unknown) => {
    if (typeof item !== 'object' || item === null) return []
    const { code, message, advice }: Partial<Record<keyof Warning, unknown>> = item
    return typeof code === 'string' ? [{ code, message: String(message ?? ''), advice: String(advice ?? '') }] : []
  })
}
