import { median } from '../stats/quantile.ts'
import type { MeasuredSeries } from './result.ts'

/**
 * Milliseconds per token and sequence of the first subject's decode at the greatest depth, else of its largest prefill,
 * else of its forward; null where none was measured. Combined tests mix two rates and are left out.
 */
export function keyFigureOf(series: readonly MeasuredSeries[]): number | null {
  const own = series.filter((one) => one.subjectIndex === 0 && one.samples.length > 0)
  const greatest = (phase: MeasuredSeries['phase'], size: (one: MeasuredSeries) => number) =>
    own.filter((one) => one.phase === phase).sort((a, b) => size(b) - size(a))[0]
  const chosen =
    greatest('DECODE', (one) => one.depth) ??
    greatest('PREFILL', (one) => one.promptTokens) ??
    greatest('FORWARD', (one) => one.promptTokens)
  if (chosen === undefined) return null
  return median(chosen.samples) / (chosen.promptTokens + chosen.generatedTokens)
}
