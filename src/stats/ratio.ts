import {
  type BootstrapOptions,
  drawCounts,
  fewestForInterval,
  type Interval,
  percentileInterval,
  rank,
  resampledMedian,
} from './bootstrap.ts'
import { median } from './quantile.ts'

export interface Ratio {
  /** candidate / baseline */
  ratio: number
  /** null where either side has fewer than five samples */
  interval: Interval | null
}

/**
 * Natural logarithm of candidate / baseline, block by block: what the machine did to a whole block falls out of it.
 * @throws RangeError where the numbers of samples differ
 */
export function logBlockRatios(baseline: ArrayLike<number>, candidate: ArrayLike<number>): Float64Array {
  if (baseline.length !== candidate.length) {
    throw new RangeError(`paired samples come in equal numbers, not ${baseline.length} and ${candidate.length}`)
  }
  return Float64Array.from(candidate, (value, block) => Math.log(value / (baseline[block] ?? Number.NaN)))
}

/**
 * Median of the ratios within blocks, of samples of which number i on both sides was taken in block i, with a percentile
 * bootstrap interval over blocks (Efron and Tibshirani 1993, section 8.3: resample the units that were drawn
 * independently). Taken of logarithms, so that exchanging the sides inverts ratio and interval.
 *
 * Of the estimators that docs/benchmarks.md compares it keeps its level and its width best where neighbours disturb
 * single trials.
 * @param baseline at least one positive value
 * @param candidate as many
 */
export function medianOfBlockRatios(
  baseline: ArrayLike<number>,
  candidate: ArrayLike<number>,
  options: BootstrapOptions = {},
): Ratio {
  const logarithms = logBlockRatios(baseline, candidate)
  const ratio = Math.exp(median(logarithms))
  if (logarithms.length < fewestForInterval) return { ratio, interval: null }
  const ranked = rank(logarithms)
  const counts = new Uint32Array(logarithms.length)
  const { low, high, level } = percentileInterval(
    logarithms.length,
    (random) => {
      drawCounts(counts, random)
      return resampledMedian(ranked, counts)
    },
    options,
  )
  return { ratio, interval: { low: Math.exp(low), high: Math.exp(high), level } }
}

/**
 * Ratio of the medians of samples that share no blocks, with a percentile bootstrap interval for which each side is
 * resampled by itself (Efron and Tibshirani 1993, section 8.2).
 * @param baseline at least one positive value
 * @param candidate at least one
 */
export function ratioOfMedians(
  baseline: ArrayLike<number>,
  candidate: ArrayLike<number>,
  options: BootstrapOptions = {},
): Ratio {
  const ratio = median(candidate) / median(baseline)
  const fewest = Math.min(baseline.length, candidate.length)
  if (fewest < fewestForInterval) return { ratio, interval: null }
  const below = rank(baseline)
  const above = rank(candidate)
  const countsBelow = new Uint32Array(baseline.length)
  const countsAbove = new Uint32Array(candidate.length)
  const interval = percentileInterval(
    fewest,
    (random) => {
      drawCounts(countsBelow, random)
      drawCounts(countsAbove, random)
      return resampledMedian(above, countsAbove) / resampledMedian(below, countsBelow)
    },
    options,
  )
  return { ratio, interval }
}
