import type { Style } from '../../render/style.ts'
import { defaultMargin } from '../../stats/verdict.ts'
import type { BenchmarkRun } from '../benchmark-run.ts'
import { conclude } from '../conclusions.ts'
import { cacheTable, heading, timings, warnings } from '../run-report.ts'
import { sentenceList } from '../text-parts.ts'
import { verdictLines } from './verdict-text.ts'
import { whereTimeGoes } from './where-time-goes.ts'

/**
 * A benchmark for people, in at most 80 columns, its verdict last: next to where the reader's eyes are. Of two models it
 * fits one screen.
 */
export function benchText(run: BenchmarkRun, style: Style, margin = defaultMargin): string {
  const verdict = verdictLines(run, margin, style)
  const shown = conclude(run)
  return [
    heading(run, style),
    cacheTable(run, style),
    timings(run, style),
    whereTimeGoes(run, style),
    warnings(run, style),
    [
      ...verdict,
      ...(verdict.length === 0 && shown.length > 0 ? [style.bold('WHAT THIS SHOWS, AND WHAT NOT')] : []),
      ...sentenceList(shown),
    ].join('\n'),
  ]
    .filter((part) => part !== '')
    .join('\n\n')
}
