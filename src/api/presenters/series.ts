import type { StoredSeries } from '../../db/rows.ts'
import type { SummaryParent } from '../rows.ts'

/** Of each trial: (promptTokens + generatedTokens) x batch / seconds; null where no tokens were processed, as in LOAD. */
export function tokensPerSecond(series: StoredSeries): SummaryParent | null {
  const tokens = (series.promptTokens + series.generatedTokens) * series.batch
  if (tokens === 0 || series.phase === 'LOAD') return null
  return { samples: series.samples.map((milliseconds) => (tokens * 1000) / milliseconds) }
}

/**
 * The series that stands for a run: the first subject's decode at the greatest depth, else its largest prefill, else its
 * forward pass; null where none was measured.
 */
export function keySeries(series: readonly StoredSeries[]): StoredSeries | null {
  const greatest = (phase: StoredSeries['phase'], size: (one: StoredSeries) => number) =>
    series
      .filter((one) => one.subjectIndex === 0 && one.phase === phase && one.samples.length > 0)
      .sort((a, b) => size(b) - size(a))[0]
  return (
    greatest('DECODE', (one) => one.depth) ??
    greatest('PREFILL', (one) => one.promptTokens) ??
    greatest('FORWARD', (one) => one.promptTokens) ??
    null
  )
}
