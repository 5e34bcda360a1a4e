import { median } from '../stats/quantile.ts'
import { medianOfBlockRatios } from '../stats/ratio.ts'
import { medianInterval } from '../stats/summary.ts'

/** Between two looks the blocks grow by this share, so that looking takes little of the time whatever the number. */
const growth = 0.1

/**
 * How precisely each subject is known, as a share: half the width of the 95 % interval of its ratio to the first, which
 * itself has 0; of the median's where there is one subject. Infinite where there are too few blocks for an interval.
 * @param samples [subject][block], paired by block
 */
export function precisionOf(samples: readonly (readonly number[])[]): number[] {
  const [first = [], ...others] = samples
  if (others.length === 0) {
    const interval = medianInterval(first)
    return [interval === null ? Number.POSITIVE_INFINITY : (interval.high - interval.low) / 2 / median(first)]
  }
  const ofOthers = others.map((own) => {
    const { ratio, interval } = medianOfBlockRatios(first, own)
    return interval === null ? Number.POSITIVE_INFINITY : (interval.high - interval.low) / 2 / ratio
  })
  return [0, ...ofOthers]
}

/** Follows the precision of the tests that share blocks from one block to the next. */
export interface PrecisionWatch {
  /**
   * Whether every subject is known precisely enough. Looks only now and then, between blocks: the resampling of many
   * blocks takes longer than a block may.
   * @param samples one list a subject; of several tests, those of the first test's subjects, then the next one's
   */
  reached(samples: readonly (readonly number[])[]): boolean
  /** the least precise subject's at the last look; null before it */
  readonly worst: number | null
  /** blocks that the aim will take in all, as the half-width falls with the root of their number; null before a look */
  readonly blocksNeeded: number | null
}

/**
 * Stops by the width of an interval and never by what it says, which leaves its level as it is for many blocks (Chow and
 * Robbins, "On the asymptotic theory of fixed-width sequential confidence intervals", Annals of Mathematical Statistics
 * 36, 1965).
 * @param target half-width as a share
 * @param tests how many share the blocks: each subject's ratio is to the first in its own test
 */
export function watchPrecision(target: number, tests = 1): PrecisionWatch {
  let nextLook = 0
  let worst: number | null = null
  let blocksNeeded: number | null = null
  return {
    reached(samples) {
      const blocks = samples[0]?.length ?? 0
      if (blocks < nextLook) return false
      nextLook = blocks + Math.max(1, Math.floor(blocks * growth))
      const subjects = samples.length / tests
      const ofTests = Array.from({ length: tests }, (_, test) => {
        return precisionOf(samples.slice(test * subjects, (test + 1) * subjects))
      })
      worst = Math.max(...ofTests.flat())
      blocksNeeded = blocksFor(blocks, worst, target)
      return worst <= target
    },
    get worst() {
      return worst
    },
    get blocksNeeded() {
      return blocksNeeded
    },
  }
}

/** Blocks after which a half-width that is `precision` now will be `target`. */
export function blocksFor(blocks: number, precision: number, target: number): number | null {
  return Number.isFinite(precision) ? Math.max(blocks, Math.ceil(blocks * (precision / target) ** 2)) : null
}
