import { findKeySeries } from '../stats/key-series.ts'
import type { MeasuredSeries } from '../stats/measured-series.ts'
import { median } from '../stats/quantile.ts'

/** Milliseconds per token and sequence of the series that stands for the run; null where none was measured. */
export function keyFigureOf(series: readonly MeasuredSeries[]): number | null {
  const chosen = findKeySeries(series)
  if (chosen === null) return null
  return median(chosen.samples) / (chosen.promptTokens + chosen.generatedTokens)
}
