import type { Queries } from '../db/client.ts'
import { storedLevel } from '../db/results.ts'
import { findTrend, type TrendRow } from '../db/trend.ts'
import { AppError } from '../errors.ts'
import type { Metric, Trend, TrendInput, TrendPoint } from '../generated/graphql.ts'
import { findLevelChanges } from '../stats/change-points.ts'
import { trendChartAddress } from './addresses.ts'

/** The most runs that a trend looks at, and how many it does where nothing is said. */
export const mostTrendRuns = 2000
const usualTrendRuns = 500

const columns = {
  TIME: null,
  TOKENS_PER_SECOND: null,
  KV_CACHE_BYTES: 'kvCacheBytes',
  PEAK_MEMORY_BYTES: 'peakMemoryBytes',
} as const satisfies Record<Metric, string | null>

const units: Record<Metric, string> = {
  TIME: 'ms',
  TOKENS_PER_SECOND: 'tokens/s',
  KV_CACHE_BYTES: 'bytes',
  PEAK_MEMORY_BYTES: 'bytes',
}

/**
 * How a series went over the newest runs that measured it, oldest first: the stored median of each with its interval, and
 * where the level changed. Runs whose subject was computed otherwise than the newest run's (device, dtypes, threads,
 * runtime) or on another machine are counted and left out. A new version of kvscope is not among these: that it changed
 * the times is what a trend is there to show.
 * @throws AppError VALIDATION_FAILED, LIMIT_EXCEEDED
 */
export async function readTrend(db: Queries, input: TrendInput): Promise<Trend> {
  const { subject, phase, test, filter } = input
  const metric = input.metric ?? 'TIME'
  const limit = input.limit ?? usualTrendRuns
  checkTrend(input, metric, limit)
  const rows = await findTrend(db, {
    subject,
    phase,
    test: test ?? '',
    column: columns[metric],
    filter: filter ?? {},
    limit,
  })
  const alike = rows.filter((row) => row === rows[0] || isMeasuredAs(row, rows[0]))
  const points = alike.reverse().map((row) => pointOf(row, metric))
  return {
    points,
    changes: changesOf(points),
    excluded: rows.length - alike.length,
    unit: units[metric],
    chartUrl: trendChartAddress(input),
  }
}

function checkTrend({ phase }: TrendInput, metric: Metric, limit: number): void {
  if (limit < 1 || limit > mostTrendRuns) {
    throw new AppError(
      limit < 1 ? 'VALIDATION_FAILED' : 'LIMIT_EXCEEDED',
      `limit is ${limit}`,
      `Ask for 1 to ${mostTrendRuns} runs; ${usualTrendRuns} come where nothing is said.`,
    )
  }
  if (metric === 'TOKENS_PER_SECOND' && phase === 'LOAD') {
    throw new AppError('VALIDATION_FAILED', 'LOAD has no TOKENS_PER_SECOND: no tokens are processed', 'Ask for TIME.')
  }
}

const circumstances = ['device', 'dtype', 'computeDtype', 'threads', 'runtime', 'hostname'] as const

function isMeasuredAs(row: TrendRow, newest: TrendRow | undefined): boolean {
  return circumstances.every((name) => row[name] === newest?.[name])
}

/** Tokens a second are tokens / the median time: as the median of the samples' rates, but for an even number's halving. */
function pointOf(row: TrendRow, metric: Metric): TrendPoint {
  const point = { runId: row.runId, at: row.queuedAt }
  const column = columns[metric]
  if (column !== null) return { ...point, value: row[column] ?? 0, interval: null }
  const { intervalLow: low, intervalHigh: high } = row
  const interval = low === null || high === null ? null : { low, high, level: storedLevel }
  if (metric === 'TIME') return { ...point, value: row.median, interval }
  const rate = (milliseconds: number) => (row.tokens * 1000) / milliseconds
  return {
    ...point,
    value: rate(row.median),
    interval: interval && { low: rate(interval.high), high: rate(interval.low), level: interval.level },
  }
}

function changesOf(points: readonly TrendPoint[]) {
  return findLevelChanges(points.map(({ value }) => value)).flatMap(({ index, ratio, interval }) => {
    const after = points[index]
    return after === undefined ? [] : [{ after, ratio, interval }]
  })
}
