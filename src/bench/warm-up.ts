import { median } from '../stats/quantile.ts'
import { mannKendall, theilSenSlope } from '../stats/trend-test.ts'

/** A test of fewer trials than this shows nothing. */
const fewestTrials = 3

/** A fall that chance alone makes as often as this, or more often, is none: three values fall in a row once in six. */
const chanceOfFall = 0.2

/** A fall over the trials looked at of less than this share of their median is too small to matter. */
const levelShare = 0.02

/** Warm-up ends after so many milliseconds where the spec sets no time; else after a quarter of the time it sets. */
export const longestWarmUp = 30_000

/**
 * Whether a subject is warm: the later half of its warm-up trials, three at the least, shows no downward trend by Mann
 * and Kendall's test, or one that is too small to matter by Theil and Sen's slope. The more trials warm-up has taken, the
 * more of them must be level, so that a slow fall is not taken for its end.
 * @param times milliseconds of the warm-up trials so far, in their order
 */
export function isWarm(times: readonly number[]): boolean {
  return times.length >= fewestTrials && isLevel(times.slice(-Math.max(fewestTrials, Math.ceil(times.length / 2))))
}

/**
 * Whether a warm-up that its time ended was not done: a single trial, or trials that still fell. Two slow trials that are
 * level will do.
 */
export function isUnfinished(times: readonly number[]): boolean {
  if (times.length >= fewestTrials) return !isWarm(times)
  const [first, second] = times
  return first === undefined || second === undefined || second < first * (1 - levelShare)
}

function isLevel(times: readonly number[]): boolean {
  if (mannKendall(times).fallProbability >= chanceOfFall) return true
  return -theilSenSlope(times) * (times.length - 1) < median(times) * levelShare
}
