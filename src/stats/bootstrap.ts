import { normalCdf, studentQuantile } from './normal.ts'
import { inRisingOrder, quantile } from './quantile.ts'
import { type Random, randomIndex, seededRandom } from './random.ts'

/** A confidence interval; `level` is 0.95 unless asked otherwise. */
export interface Interval {
  low: number
  high: number
  level: number
}

export interface BootstrapOptions {
  resamples?: number
  level?: number
  seed?: number
}

/**
 * Fewer samples than this have no interval. The widest that n samples can give, least to greatest, holds the median with
 * probability 1 - 2^(1-n) whatever the distribution (David and Nagaraja, "Order Statistics", 2003, section 7.1): 75 %
 * for three, 87.5 % for four, 93.75 % for five. What is printed as 95 % must be near it.
 */
export const fewestForInterval = 5

/**
 * Percentile interval of a statistic whose one resample `draw` computes (Efron and Tibshirani, "An Introduction to the
 * Bootstrap", 1993, chapter 13), with the tails expanded for few samples as in Hesterberg, "What Teachers Should Know
 * About the Bootstrap", The American Statistician 69 (2015), section 5.3: plain percentiles of ten samples are as much
 * too narrow as a z interval is beside a t interval, and would call one difference in ten real that is none.
 * @param samples how many were drawn independently: of a pair of unequal sides, the smaller
 */
export function percentileInterval(
  samples: number,
  draw: (random: Random) => number,
  options: BootstrapOptions = {},
): Interval {
  const { resamples = 2000, level = 0.95, seed = 0 } = options
  const random = seededRandom(seed)
  const drawn = new Float64Array(resamples)
  for (let index = 0; index < resamples; index += 1) drawn[index] = draw(random)
  drawn.sort()
  const tail = normalCdf(-Math.sqrt(samples / (samples - 1)) * studentQuantile((1 + level) / 2, samples - 1))
  return { low: quantile(drawn, tail), high: quantile(drawn, 1 - tail), level }
}

/** Draws `counts.length` indices with replacement and leaves how often each was drawn. */
export function drawCounts(counts: Uint32Array, random: Random): void {
  counts.fill(0)
  for (let drawn = 0; drawn < counts.length; drawn += 1) {
    const index = randomIndex(random, counts.length)
    counts[index] = (counts[index] ?? 0) + 1
  }
}

/** Samples prepared for medians of many resamples, each in one pass and without sorting. */
export interface Ranked {
  rising: Float64Array
  /** order[rank] is the index that the sample of that rank had before sorting */
  order: Uint32Array
}

export function rank(samples: ArrayLike<number>): Ranked {
  const values = Float64Array.from(samples)
  const order = Uint32Array.from(values.keys()).sort((a, b) => (values[a] ?? 0) - (values[b] ?? 0))
  return { rising: inRisingOrder(values), order }
}

/** Median of the resample in which the sample with index i before sorting occurs counts[i] times. */
export function resampledMedian({ rising, order }: Ranked, counts: Uint32Array): number {
  const lower = (order.length - 1) >> 1
  const upper = order.length >> 1
  let seen = 0
  let low: number | undefined
  for (let place = 0; place < order.length; place += 1) {
    seen += counts[order[place] ?? 0] ?? 0
    const value = rising[place] ?? 0
    if (low === undefined && seen > lower) low = value
    if (seen > upper) return ((low ?? value) + value) / 2
  }
  throw new RangeError('a resample holds as many values as the samples')
}
