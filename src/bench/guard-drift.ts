import type { Warning } from '../stats/measured-series.ts'
import { median } from '../stats/quantile.ts'
import { mannKendall, theilSenSlope } from '../stats/trend-test.ts'

/** Of series without a trend, one in so many is said to drift; below seven samples no trend can be that sure. */
const falseAlarm = 0.002
/** A drift over the whole series of less than this share of its median is too small to matter. */
const leastShare = 0.02

/** DRIFT: the samples rise or fall with time, by Mann and Kendall's test; how much says Theil and Sen's slope. */
export function driftWarnings(what: string, samples: readonly number[]): Warning[] {
  if (samples.length < 3) return []
  const { probability } = mannKendall(samples)
  if (probability > falseAlarm) return []
  const share = (theilSenSlope(samples) * (samples.length - 1)) / median(samples)
  if (Math.abs(share) < leastShare) return []
  return [
    {
      code: 'DRIFT',
      message: `${what}: trials became ${(100 * Math.abs(share)).toFixed(0)} % ${share > 0 ? 'slower' : 'faster'} from the first block to the last (p ${probability.toPrecision(1)})`,
      advice:
        'Ratios within the run hold, as subjects took turns; do not compare the medians with other runs. Let the machine come to rest, cool, or warm up.',
    },
  ]
}
