import type { CompareRunsQuery, Metric } from '../generated/operations.ts'
import type { Style } from '../render/style.ts'
import { tableToText, wrap } from '../render/table.ts'
import { formatRatio } from '../render/units.ts'
import { figure, verdictLine } from './benchmarks/comparison-markdown.ts'
import { paintVerdict, smallShare } from './benchmarks/verdict-text.ts'
import { estimateText } from './diversity-text.ts'
import { phaseLabel } from './run-labels.ts'
import { shortNumber } from './shared-heads.ts'

type Comparison = CompareRunsQuery['compareRuns']
type OfType<Name extends Comparison['__typename']> = Extract<Comparison, { __typename: Name }>

/** What a comparison says, in at most 80 columns. */
export function comparisonText(comparison: Comparison, style: Style, metric: Metric = 'TIME'): string {
  const reasons = comparison.reasons.flatMap((reason) => wrap(`! ${reason}`, 80))
  const lines = linesOf(comparison, style, metric)
  return [...reasons, ...lines].join('\n')
}

function linesOf(comparison: Comparison, style: Style, metric: Metric): string[] {
  switch (comparison.__typename) {
    case 'BenchmarkComparison':
      return benchmarkLines(comparison, style, metric)
    case 'WeightSlicesComparison':
      return sliceLines(comparison, style)
    case 'DiversityComparison':
      return diversityLines(comparison, style)
  }
}

function benchmarkLines({ rows, candidates }: OfType<'BenchmarkComparison'>, style: Style, metric: Metric): string[] {
  const several = candidates.length > 1
  const timed = metric === 'TIME' || metric === 'TOKENS_PER_SECOND'
  const table = tableToText(
    {
      columns: [
        ...(several ? [{ title: 'run' }] : []),
        { title: 'subject' },
        { title: 'measured' },
        { title: timed ? 'median' : 'bytes', align: 'right' as const },
        { title: timed ? 'ratio [95 %]' : 'ratio' },
        { title: 'verdict' },
      ],
      rows: rows.map((row) => {
        const series = row.candidate ?? row.baseline
        return [
          ...(several ? [row.candidateId.slice(-6)] : []),
          series?.subject.name ?? '',
          series === null ? row.phase.toLowerCase() : phaseLabel({ ...series, phase: row.phase }),
          figure(row.candidate, metric),
          row.ratio === null ? '–' : formatRatio(row.ratio, row.interval),
          paintVerdict(row.verdict, style),
        ]
      }),
    },
    { head: style.bold, width: 80 },
  )
  const why = [...new Set(rows.flatMap((row) => row.reasons))].flatMap((reason) => wrap(`· ${reason}`, 80))
  const synthetic = rows.some(({ baseline, candidate }) => [baseline, candidate].some((one) => one?.subject.synthetic))
  return [
    ...(synthetic
      ? [style.warn('SYNTHETIC WEIGHTS: drawn from a seed; the speed is real, the text would not be')]
      : []),
    table,
    ...why,
    ...blindSpot(rows),
    style.bold(`VERDICT: ${verdictLine(rows)}`),
    ...wrap(captions[metric], 80).map(style.dim),
  ]
}

const captions: Record<Metric, string> = {
  TIME: 'ratio: median time of the candidate / of the baseline; below 1 is faster',
  TOKENS_PER_SECOND: 'ratio: tokens a second of the candidate / of the baseline; above 1 is faster',
  KV_CACHE_BYTES: 'ratio: measured bytes of the KV cache, candidate / baseline; they have no spread',
  PEAK_MEMORY_BYTES: 'ratio: greatest resident memory, candidate / baseline; a single value each',
}

/** The least difference that an undecided row would have shown, where it is known: what more trials are needed for. */
function blindSpot(rows: OfType<'BenchmarkComparison'>['rows']): string[] {
  const undecided = rows.filter(({ verdict }) => verdict === 'INCONCLUSIVE')
  const least = undecided.flatMap(({ minimumDetectable }) => minimumDetectable ?? []).filter((share) => share < 1)
  if (least.length === 0) return []
  const [smallest, largest] = [smallShare(Math.min(...least)), smallShare(Math.max(...least))]
  const span = smallest === largest ? smallest : `${smallest} to ${largest}`
  return wrap(`· undecided rows would have shown a difference of ${span} in 90 of 100 runs`, 80)
}

/** A row for each layer and projection: how many heads differ, and by how much. */
function sliceLines({ rows, candidates }: OfType<'WeightSlicesComparison'>, style: Style): string[] {
  const several = candidates.length > 1
  const groups = new Map<string, typeof rows>()
  for (const row of rows) {
    const key = `${row.candidateId} ${row.layer} ${row.projection}`
    groups.set(key, [...(groups.get(key) ?? []), row])
  }
  const table = tableToText(
    {
      columns: [
        ...(several ? [{ title: 'run' }] : []),
        { title: '' },
        { title: 'heads', align: 'right' as const },
        { title: 'the same', align: 'right' as const },
        { title: 'largest difference' },
        { title: 'cosine' },
      ],
      rows: [...groups.values()].map((group) => {
        const [first] = group
        const span = (values: readonly number[]) => {
          const [least, most] = [shortNumber(Math.min(...values)), shortNumber(Math.max(...values))]
          return least === most ? least : `${least} to ${most}`
        }
        return [
          ...(several ? [first?.candidateId.slice(-6) ?? ''] : []),
          `layer ${first?.layer} W_${first?.projection}`,
          `${group.length}`,
          `${group.filter(({ maxDifference }) => maxDifference === 0).length}`,
          span(group.map(({ maxDifference }) => maxDifference)),
          span(group.map(({ cosine }) => cosine)),
        ]
      }),
    },
    { head: style.bold, width: 80 },
  )
  const caption = 'over heads, of the slices that both runs stored; imageUrl (--json) draws each difference'
  return [table, ...wrap(caption, 80).map(style.dim)]
}

function diversityLines({ rows, candidates }: OfType<'DiversityComparison'>, style: Style): string[] {
  const several = candidates.length > 1
  const table = tableToText(
    {
      columns: [
        ...(several ? [{ title: 'run' }] : []),
        { title: 'layer', align: 'right' as const },
        { title: 'candidate - baseline [95 %]' },
        { title: '' },
      ],
      rows: rows.map(({ candidateId, layer, difference }) => [
        ...(several ? [candidateId.slice(-6)] : []),
        `${layer}`,
        difference === null ? '–' : estimateText(difference),
        difference === null ? '' : differenceText(difference),
      ]),
    },
    { head: style.bold, width: 80 },
  )
  const why = [...new Set(rows.flatMap((row) => row.reasons))].flatMap((reason) => wrap(`· ${reason}`, 80))
  const caption =
    "mean Jensen-Shannon distance of all pairs of heads, paired by prompt; above 0 the candidate's heads look more differently"
  return [table, ...why, ...wrap(caption, 80).map(style.dim)]
}

function differenceText({ interval }: { interval: { low: number; high: number } | null }): string {
  if (interval === null) return 'no interval'
  if (interval.low > 0) return 'heads differ more'
  return interval.high < 0 ? 'heads are more alike' : 'not to be told apart'
}
