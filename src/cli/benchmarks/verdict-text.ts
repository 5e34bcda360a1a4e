import type { Style } from '../../render/style.ts'
import { tableToText, wrap } from '../../render/table.ts'
import { formatPercent, formatRatio } from '../../render/units.ts'
import type { Verdict } from '../../stats/verdict.ts'
import type { BenchmarkRun, SeriesComparison } from '../benchmark-run.ts'
import { subjectLabels } from '../run-labels.ts'

/** Phases that carry a verdict: of a load and a cold pass the system's page cache decides more than the model. */
const judged: readonly string[] = ['FORWARD', 'PREFILL', 'DECODE', 'COMBINED']

/** What a verdict is painted with; its word says the same without colour. */
export function paintVerdict(verdict: Verdict, style: Style): string {
  const paint = { FASTER: style.good, SLOWER: style.bad, NOT_COMPARABLE: style.warn }
  return verdict in paint ? paint[verdict as keyof typeof paint](verdict) : verdict
}

/**
 * Every other subject against the first, test by test, in at most 80 columns; empty for one subject.
 * @param margin that the run's comparison was asked for with
 */
export function verdictLines(run: BenchmarkRun, margin: number, style: Style): string[] {
  const rows = run.comparison.filter(({ phase }) => judged.includes(phase))
  if (rows.length === 0) return []
  const labels = subjectLabels(run.subjects, 24)
  const several = run.subjects.length > 2
  const known = {
    p: rows.some(({ pValue }) => pValue !== null),
    detectable: rows.some(({ minimumDetectable }) => minimumDetectable !== null),
  }
  const table = tableToText(
    {
      columns: [
        ...(several ? [{ title: 'model' }] : []),
        { title: 'test' },
        { title: 'verdict' },
        { title: 'ratio [95 %]' },
        ...(known.p ? [{ title: 'p', align: 'right' as const }] : []),
        ...(known.detectable ? [{ title: 'shows from', align: 'right' as const }] : []),
      ],
      rows: rows.map((row) => [
        ...(several ? [labels[row.candidate?.subject.index ?? -1] ?? ''] : []),
        row.test ?? row.phase.toLowerCase(),
        paintVerdict(row.verdict, style),
        row.ratio === null ? '–' : formatRatio(row.ratio, row.interval),
        ...(known.p ? [row.pValue === null ? '' : probability(row.pValue)] : []),
        ...(known.detectable ? [detectableText(row)] : []),
      ]),
    },
    { head: style.bold, width: 80 },
  )
  const against = several ? labels[0] : `${labels[1]} against ${labels[0]}`
  return [
    style.bold(`VERDICT: ${several ? `against ${against}` : against}`),
    table,
    ...reasonLines(rows),
    style.dim(captionOf(known.detectable, margin)),
  ]
}

/** The reasons of all rows, each once, with the tests that it is a reason for. */
function reasonLines(rows: readonly SeriesComparison[]): string[] {
  const tests = new Map<string, string[]>()
  for (const row of rows) {
    for (const reason of row.reasons)
      tests.set(reason, [...(tests.get(reason) ?? []), row.test ?? row.phase.toLowerCase()])
  }
  return [...tests].flatMap(([reason, of]) => {
    const where = of.length === rows.length ? '' : `${[...new Set(of)].join(', ')}: `
    const [first = '', ...rest] = wrap(where + reason, 78)
    return [`· ${first}`, ...rest.map((line) => `  ${line}`)]
  })
}

/** Beyond twice the time the figure tells no more than that the samples are of no use. */
function detectableText({ minimumDetectable }: SeriesComparison): string {
  if (minimumDetectable === null) return ''
  return minimumDetectable < 1 ? smallShare(minimumDetectable) : '>100 %'
}

function captionOf(detect: boolean, margin: number): string {
  const within = margin === 0 ? '' : `; within ${smallShare(margin)}: NO_DIFFERENCE`
  return `below 1: less time${within}${detect ? '; shows from: least difference told' : ''}`
}

export function probability(p: number): string {
  return p < 0.001 ? '<0.001' : p.toFixed(3)
}

/** Shares below 10 % with one digit: `2 %`, `0.5 %`. */
export function smallShare(share: number): string {
  if (share >= 0.0995) return formatPercent(share)
  return `${Number((share * 100).toFixed(1))} %`
}
