import type { StoredSeries } from '../../db/rows.ts'
import type { SummaryParent } from '../rows.ts'

/** Of each trial: (promptTokens + generatedTokens) x batch / seconds; null where no tokens were processed, as in LOAD. */
export function tokensPerSecond(series: StoredSeries): SummaryParent | null {
  const tokens = (series.promptTokens + series.generatedTokens) * series.batch
  if (tokens === 0 || series.phase === 'LOAD') return null
  return { samples: series.samples.map((milliseconds) => (tokens * 1000) / milliseconds) }
}
