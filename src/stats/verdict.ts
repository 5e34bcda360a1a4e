import type { Interval } from './bootstrap.ts'

export type Verdict = 'FASTER' | 'SLOWER' | 'NO_DIFFERENCE' | 'INCONCLUSIVE' | 'NOT_COMPARABLE'

/** A difference of less than this share is of no interest unless the asker says otherwise. */
export const defaultMargin = 0.02

/**
 * What the interval of a time ratio (candidate / baseline) allows to say.
 *
 * NO_DIFFERENCE: wholly inside 1 +- margin, ends included. FASTER: wholly below 1. SLOWER: wholly above 1. Otherwise
 * INCONCLUSIVE. An interval may be both inside the margin and on one side of 1 (0.985 to 0.995): NO_DIFFERENCE goes
 * first, since the margin is what the asker called too small to matter, however surely it is there.
 */
export function verdictOf(interval: Interval | null, margin: number = defaultMargin): Verdict {
  if (interval === null) return 'INCONCLUSIVE'
  if (interval.low >= 1 - margin && interval.high <= 1 + margin) return 'NO_DIFFERENCE'
  if (interval.high < 1) return 'FASTER'
  if (interval.low > 1) return 'SLOWER'
  return 'INCONCLUSIVE'
}
