import type { Style } from '../../render/style.ts'
import { defaultMargin } from '../../stats/verdict.ts'
import type { BenchmarkRun } from '../benchmark-run.ts'
import { conclude } from '../conclusions.ts'
import { briefWarnings, cacheTable, heading, timings, warnings } from '../run-report.ts'
import { sentenceList } from '../text-parts.ts'
import { fitTable } from './fit-text.ts'
import { verdictLines } from './verdict-text.ts'
import { whereTimeGoes } from './where-time-goes.ts'

/** Lines of warnings that leave the rest room on one screen. */
const briefly = 9

export interface BenchTextOptions {
  margin?: number
  /** every warning in full, however long that gets */
  whole?: boolean
}

/**
 * A benchmark for people, in at most 80 columns, its verdict last: next to where the reader's eyes are. Of two models and
 * two tests it fits one screen of 50 lines unless it is asked for whole.
 */
export function benchText(
  run: BenchmarkRun,
  style: Style,
  { margin = defaultMargin, whole = false }: BenchTextOptions = {},
): string {
  const verdict = verdictLines(run, margin, style)
  const concluded = conclude(run)
  // The last says what no run shows: whoever reads a verdict on one screen can do without.
  const shown = whole || verdict.length === 0 ? concluded : concluded.slice(0, -1)
  const tested = run.series.filter(({ phase }) => phase !== 'LOAD')
  const timed = whole || tested.length === 0 ? run : { ...run, series: tested }
  return [
    heading(run, style),
    cacheTable(run, style),
    timings(timed, style),
    whereTimeGoes(run, style),
    fitTable(run, style),
    whole ? warnings(run, style) : briefWarnings(run, style, briefly),
    [
      ...verdict,
      ...(verdict.length === 0 && shown.length > 0 ? [style.bold('WHAT THIS SHOWS, AND WHAT NOT')] : []),
      ...sentenceList(shown),
    ].join('\n'),
  ]
    .filter((part) => part !== '')
    .join('\n\n')
}
