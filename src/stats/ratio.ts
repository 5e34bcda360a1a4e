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
  /** median of the candidate / median of the baseline */
  ratio: number
  /** null where either side has fewer than five samples */
  interval: Interval | null
}

export interface RatioOptions extends BootstrapOptions {
  /** sample i of both sides was taken in the same block: blocks are resampled, so that noise they share cancels */
  paired: boolean
}

/**
 * Ratio of medians with a percentile bootstrap interval. Paired, the blocks are resampled (Efron and Tibshirani 1993,
 * section 8.3: resample the units that were drawn independently); unpaired, each side is resampled by itself.
 * @param baseline at least one positive value
 * @param candidate at least one; as many as the baseline's when paired
 */
export function ratioOfMedians(
  baseline: ArrayLike<number>,
  candidate: ArrayLike<number>,
  options: RatioOptions,
): Ratio {
  if (options.paired && baseline.length !== candidate.length) {
    throw new RangeError(`paired samples come in equal numbers, not ${baseline.length} and ${candidate.length}`)
  }
  const ratio = median(candidate) / median(baseline)
  const fewest = Math.min(baseline.length, candidate.length)
  if (fewest < fewestForInterval) return { ratio, interval: null }

  const below = rank(baseline)
  const above = rank(candidate)
  const countsBelow = new Uint32Array(baseline.length)
  const countsAbove = options.paired ? countsBelow : new Uint32Array(candidate.length)
  const interval = percentileInterval(
    fewest,
    (random) => {
      drawCounts(countsBelow, random)
      if (!options.paired) drawCounts(countsAbove, random)
      return resampledMedian(above, countsAbove) / resampledMedian(below, countsBelow)
    },
    options,
  )
  return { ratio, interval }
}
