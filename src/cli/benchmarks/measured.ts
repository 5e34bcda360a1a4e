import type { Metric } from '../../generated/operations.ts'
import type { ComparedRow } from './compared-rows.ts'

/** A figure of one series, with the interval of its median where it has one. */
export interface Measured {
  value: number
  unit: string
  interval: { low: number; high: number } | null
}

/** A row's candidate as a figure of the metric; null where it has none. */
export function measuredOf(series: NonNullable<ComparedRow['candidate']>, metric: Metric): Measured | null {
  switch (metric) {
    case 'TIME':
      return { value: series.summary.median, unit: 'ms', interval: series.summary.interval }
    case 'TOKENS_PER_SECOND': {
      const { tokensPerSecond } = series
      return tokensPerSecond && { value: tokensPerSecond.median, unit: 'tokens/s', interval: tokensPerSecond.interval }
    }
    case 'KV_CACHE_BYTES':
      return series.kvCacheBytes === null ? null : { value: series.kvCacheBytes, unit: 'bytes', interval: null }
    case 'PEAK_MEMORY_BYTES':
      return series.peakMemoryBytes === null ? null : { value: series.peakMemoryBytes, unit: 'bytes', interval: null }
  }
}
