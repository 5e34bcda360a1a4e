import type { Warning } from '../stats/measured-series.ts'
import { median } from '../stats/quantile.ts'
import { medianInterval } from '../stats/summary.ts'

/** Largest share of a trial that one step of the clock may take. */
const coarseShare = 0.01

/**
 * CLOCK_COARSE: one step of the clock is no small part of a trial, or is wider than half the interval of the median, which
 * then looks surer than a clock of such steps can be.
 * @param step milliseconds
 */
export function clockWarnings(what: string, samples: readonly number[], step: number): Warning[] {
  const middle = median(samples)
  const interval = medianInterval(samples)
  const halfWidth = interval === null ? null : (interval.high - interval.low) / 2
  const tooFine = halfWidth !== null && step > halfWidth
  if (step <= middle * coarseShare && !tooFine) return []
  const beside = tooFine ? `half the interval ${halfWidth.toPrecision(2)} ms` : `a trial ${middle.toPrecision(2)} ms`
  return [
    {
      code: 'CLOCK_COARSE',
      message: `${what}: one step of the clock is ${step.toPrecision(2)} ms, ${beside}`,
      advice: 'Measure a larger test: smaller differences than the step cannot be seen.',
    },
  ]
}
