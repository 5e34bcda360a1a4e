import type { Warning } from '../stats/measured-series.ts'
import { studentQuantile } from '../stats/normal.ts'
import { median } from '../stats/quantile.ts'
import { mean, standardDeviation } from '../stats/summary.ts'

/** Of first trials that are like the others, one in so many is called slow. */
const falseAlarm = 0.001
/** A first trial that is less than this share above the others is no effect worth a warning. */
const leastShare = 0.05
/** Fewer others than this do not tell how much they scatter. */
const fewestOthers = 4

/**
 * FIRST_TRIAL: the first timed trial took longer than every other, and longer than a trial like them would by the
 * prediction interval of one more value (Hahn and Meeker, "Statistical Intervals", 1991, section 4.7).
 */
export function firstTrialWarnings(what: string, samples: readonly number[]): Warning[] {
  const [first = 0, ...others] = samples
  if (others.length < fewestOthers || first <= Math.max(...others)) return []
  const middle = median(others)
  const width = (standardDeviation(others) ?? 0) * Math.sqrt(1 + 1 / others.length)
  const bound = mean(others) + studentQuantile(1 - falseAlarm, others.length - 1) * width
  if (first <= bound || first < middle * (1 + leastShare)) return []
  return [
    {
      code: 'FIRST_TRIAL',
      message: `${what}: the first timed trial took ${first.toPrecision(3)} ms, the others ${middle.toPrecision(3)} ms`,
      advice: 'Warm up longer, or read the median, which one trial hardly moves; means and single trials are off.',
    },
  ]
}
