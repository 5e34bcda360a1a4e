import {
  type BootstrapOptions,
  drawCounts,
  fewestForInterval,
  type Interval,
  percentileInterval,
  rank,
  resampledMedian,
} from './bootstrap.ts'
import { quantile } from './quantile.ts'

/** What samples say together; in the unit of the samples. */
export interface Summary {
  count: number
  median: number
  mean: number
  /** with n - 1; null for a single sample */
  standardDeviation: number | null
  minimum: number
  maximum: number
  /** bootstrap interval of the median; null under five samples */
  interval: Interval | null
}

/** @param values at least one */
export function mean(values: ArrayLike<number>): number {
  return Float64Array.from(values).reduce((sum, value) => sum + value, 0) / values.length
}

/** Sample standard deviation (n - 1 in the denominator), in two passes; null for a single value, which has none. */
export function standardDeviation(values: ArrayLike<number>): number | null {
  if (values.length < 2) return null
  const centre = mean(values)
  const squares = Float64Array.from(values, (value) => (value - centre) ** 2)
  return Math.sqrt(squares.reduce((sum, square) => sum + square, 0) / (values.length - 1))
}

/** Percentile bootstrap interval of the median; null under five samples. */
export function medianInterval(samples: ArrayLike<number>, options: BootstrapOptions = {}): Interval | null {
  if (samples.length < fewestForInterval) return null
  const ranked = rank(samples)
  const counts = new Uint32Array(samples.length)
  return percentileInterval(
    samples.length,
    (random) => {
      drawCounts(counts, random)
      return resampledMedian(ranked, counts)
    },
    options,
  )
}

/**
 * @param samples at least one, in any order
 * @param seed of the bootstrap: the same samples and seed give the same interval
 */
export function summarize(samples: ArrayLike<number>, seed = 0): Summary {
  const { rising } = rank(samples)
  return {
    count: samples.length,
    median: quantile(rising, 0.5),
    mean: mean(samples),
    standardDeviation: standardDeviation(samples),
    minimum: quantile(rising, 0),
    maximum: quantile(rising, 1),
    interval: medianInterval(samples, { seed }),
  }
}
