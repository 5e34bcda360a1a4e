import {
  type BootstrapOptions,
  drawCounts,
  fewestForInterval,
  type Interval,
  percentileInterval,
} from '../stats/bootstrap.ts'
import { mean } from '../stats/summary.ts'

/** A mean over prompts and how sure it is. */
export interface Estimate {
  value: number
  /** null under five prompts (`fewestForInterval`), and where nothing was sampled */
  interval: Interval | null
}

/**
 * Mean of one value a prompt with its bootstrap interval: the prompts are resampled, for they are what was drawn
 * independently (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, section 8.3). The interval speaks of
 * prompts like these, not of other models or other layers.
 * @param values one for each prompt, at least one
 */
export function meanEstimate(values: ArrayLike<number>, options: BootstrapOptions = {}): Estimate {
  const value = mean(values)
  if (values.length < fewestForInterval) return { value, interval: null }
  const counts = new Uint32Array(values.length)
  const interval = percentileInterval(
    values.length,
    (random) => {
      drawCounts(counts, random)
      let sum = 0
      for (let index = 0; index < counts.length; index += 1) sum += (counts[index] ?? 0) * (values[index] ?? 0)
      return sum / values.length
    },
    options,
  )
  return { value, interval }
}
