import type { Warning } from '../stats/measured-series.ts'
import { findOutliers, outlierCutoff } from '../stats/outliers.ts'
import { median } from '../stats/quantile.ts'

/** An outlier nearer to the median than this share of it matters to nobody. */
const leastShare = 0.1
/** Fewer samples than this do not tell an outlier from the others. */
const fewestSamples = 5

/** OUTLIERS: samples far from the others, by the modified z-score. They stay where they are. */
export function outlierWarnings(what: string, samples: readonly number[]): Warning[] {
  if (samples.length < fewestSamples) return []
  const middle = median(samples)
  const far = findOutliers(samples)
    .map((index) => samples[index] ?? middle)
    .filter((sample) => Math.abs(sample - middle) > leastShare * middle)
  if (far.length === 0) return []
  const values = far.slice(0, 3).map((sample) => sample.toPrecision(3))
  return [
    {
      code: 'OUTLIERS',
      message: `${what}: ${far.length} of ${samples.length} samples are outliers (${values.join(', ')}${far.length > 3 ? ', ...' : ''} ms beside a median of ${middle.toPrecision(3)} ms; modified z-score above ${outlierCutoff(samples.length).toFixed(1)})`,
      advice: 'None is dropped: read the median and its interval, which they hardly move, and not the mean.',
    },
  ]
}
