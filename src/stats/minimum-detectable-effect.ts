import type { Interval } from './bootstrap.ts'
import { studentQuantile } from './normal.ts'

/** Of experiments in which the difference is there, the share that shall show it. */
const power = 0.9

/** Beyond so many nobody waits. */
const mostBlocks = 1_000_000

/**
 * Least difference, as a share, that the interval of a ratio would exclude in 90 of 100 experiments of as many samples
 * with this scatter: exp((1 + t(0.9) / t(0.975)) h) - 1, where h is half the interval's width in logarithms and t are
 * quantiles of Student's t with n - 1 degrees. That is Bloom's multiple of the standard error, t(1 - a/2) + t(power)
 * ("Minimum Detectable Effects", Evaluation Review 19, 1995), with h for its first term.
 * @param interval of a ratio, at 95 %
 * @param samples how many there were: of unequal sides, the smaller
 */
export function minimumDetectableEffect(interval: Interval, samples: number): number {
  return Math.expm1(halfWidth(interval) * powerFactor(samples))
}

/**
 * How many samples would show a difference of that share in 90 of 100 experiments, their scatter being as it is: the
 * inverse of `minimumDetectableEffect`, for which half the width goes with t(0.975) / sqrt(n - 1) (`percentileInterval`).
 * @param effect a share above 0
 * @returns at least `samples`; infinite where a million would not do
 */
export function samplesToDetect(interval: Interval, samples: number, effect: number): number {
  const perUnit = halfWidth(interval) / widthFactor(samples)
  const shows = (count: number) => perUnit * widthFactor(count) * powerFactor(count) <= Math.log1p(effect)
  if (shows(samples)) return samples
  if (!shows(mostBlocks)) return Number.POSITIVE_INFINITY
  let tooFew = samples
  let enough = mostBlocks
  while (enough - tooFew > 1) {
    const middle = Math.floor((tooFew + enough) / 2)
    if (shows(middle)) enough = middle
    else tooFew = middle
  }
  return enough
}

function halfWidth({ low, high }: Interval): number {
  return Math.log(high / low) / 2
}

function widthFactor(samples: number): number {
  return studentQuantile(0.975, samples - 1) / Math.sqrt(samples - 1)
}

function powerFactor(samples: number): number {
  return 1 + studentQuantile(power, samples - 1) / studentQuantile(0.975, samples - 1)
}
