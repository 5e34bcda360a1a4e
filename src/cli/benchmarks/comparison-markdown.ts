import type { Metric } from '../../generated/operations.ts'
import { type Table, tableToMarkdown } from '../../render/table.ts'
import { formatBytes, formatMilliseconds, formatRate, formatRatio } from '../../render/units.ts'
import type { BenchmarkComparison, ComparedRow } from './compared-rows.ts'
import type { Judgement } from './fail-if.ts'
import { measuredOf } from './measured.ts'
import { probability, smallShare } from './verdict-text.ts'

/** Verdicts in the order in which a reader wants them. */
const order = ['SLOWER', 'NOT_COMPARABLE', 'INCONCLUSIVE', 'FASTER', 'NO_DIFFERENCE'] as const

export interface MarkdownOptions {
  metric: Metric
  /** what the baseline is called; null: it has no name */
  baselineName: string | null
  judgements: readonly Judgement[]
}

/**
 * A comparison for a pull request, in GitHub's Markdown: the verdict in one line, conditions, a table, the reasons, and
 * folded away what it was measured with.
 */
export function comparisonMarkdown(comparison: BenchmarkComparison, options: MarkdownOptions): string {
  const { rows, baseline } = comparison
  const name = options.baselineName === null ? 'the baseline' : code(options.baselineName)
  const reasons = [...comparison.reasons, ...new Set(rows.flatMap((row) => row.reasons))]
  return [
    `**kvscope: ${verdictLine(rows)}** against ${name} (run \`${baseline.id}\`)`,
    conditionList(options.judgements),
    tableToMarkdown(rowTable(comparison, options.metric)),
    reasons.map((reason) => `- ${escapeMarkdown(reason)}`).join('\n'),
    details(comparison, options.metric),
  ]
    .filter((part) => part !== '')
    .join('\n\n')
}

/** `2 SLOWER, 1 INCONCLUSIVE, 5 NO_DIFFERENCE`. */
export function verdictLine(rows: readonly Pick<ComparedRow, 'verdict'>[]): string {
  const counted = order
    .map((verdict) => ({ verdict, count: rows.filter((row) => row.verdict === verdict).length }))
    .filter(({ count }) => count > 0)
  return counted.length === 0
    ? 'nothing to compare'
    : counted.map(({ verdict, count }) => `${count} ${verdict}`).join(', ')
}

const outcomeWords = { fine: 'fine', worse: '**worse**', unknown: '**cannot tell**' }

function conditionList(judgements: readonly Judgement[]): string {
  return judgements
    .map(
      ({ condition, outcome, because }) =>
        `- ${code(condition)}: ${outcomeWords[outcome]}${outcome === 'fine' ? '' : ` (${escapeMarkdown(because.join('; '))})`}`,
    )
    .join('\n')
}

function rowTable({ rows, candidates }: BenchmarkComparison, metric: Metric): Table {
  const right = { align: 'right' } as const
  const several = candidates.length > 1
  return {
    columns: [
      ...(several ? [{ title: 'run' }] : []),
      { title: 'subject' },
      { title: 'test' },
      { title: 'baseline', ...right },
      { title: 'candidate', ...right },
      { title: 'ratio [95 %]' },
      { title: 'verdict' },
    ],
    rows: rows.map((row) => [
      ...(several ? [row.candidateId.slice(-6)] : []),
      cellText(row.candidate?.subject.name ?? row.baseline?.subject.name ?? ''),
      row.test ?? row.phase.toLowerCase(),
      figure(row.baseline, metric),
      figure(row.candidate, metric),
      row.ratio === null ? '–' : formatRatio(row.ratio, row.interval),
      row.verdict,
    ]),
  }
}

/** The median of a series in the metric's unit; – where it has none. */
export function figure(series: ComparedRow['candidate'], metric: Metric): string {
  const measured = series === null ? null : measuredOf(series, metric)
  if (measured === null) return '–'
  if (metric === 'TIME') return formatMilliseconds(measured.value)
  return metric === 'TOKENS_PER_SECOND' ? `${formatRate(measured.value)} t/s` : formatBytes(measured.value)
}

function details({ rows, baseline, candidates }: BenchmarkComparison, metric: Metric): string {
  const right = { align: 'right' } as const
  const samples: Table = {
    columns: [
      { title: 'subject' },
      { title: 'test' },
      { title: 'trials', ...right },
      { title: 'p', ...right },
      { title: 'shows from', ...right },
    ],
    rows: rows.map((row) => [
      cellText(row.candidate?.subject.name ?? ''),
      row.test ?? row.phase.toLowerCase(),
      `${row.baseline?.summary.count ?? 0} and ${row.candidate?.summary.count ?? 0}`,
      row.pValue === null ? '' : probability(row.pValue),
      row.minimumDetectable === null ? '' : smallShare(row.minimumDetectable),
    ]),
  }
  const synthetic = rows.some((row) => row.baseline?.subject.synthetic || row.candidate?.subject.synthetic)
  return [
    '<details><summary>What it was measured with</summary>',
    [baseline, ...candidates].map((run, index) => runLine(run, index)).join('\n'),
    ...(metric === 'TIME' || metric === 'TOKENS_PER_SECOND' ? [tableToMarkdown(samples)] : []),
    'Ratio: candidate / baseline of the medians, with its bootstrap interval; of times, below 1 is less time.',
    ...(synthetic ? ['SYNTHETIC WEIGHTS: drawn from a seed; the speed is real, the text would not be.'] : []),
    '</details>',
  ].join('\n\n')
}

function runLine({ id, queuedAt, environment, note }: BenchmarkComparison['baseline'], index: number): string {
  const machine =
    environment === null
      ? 'machine unknown'
      : `${environment.hostname}, ${environment.cpu}, ${environment.cores} cores, kvscope ${environment.kvscope}, onnxruntime ${environment.onnxruntime}`
  const said = note === null || note === '' ? '' : `, ${note}`
  return escapeMarkdown(`- ${index === 0 ? 'baseline' : 'candidate'} ${id}, ${queuedAt}: ${machine}${said}`)
}

/** Text of users and machines, harmless in Markdown: no tag, no mention, no emphasis. */
function escapeMarkdown(text: string): string {
  return cellText(text)
    .replaceAll('`', "'")
    .replaceAll(/([*_[\]])/g, '\\$1')
}

/** The same for a cell of a table, which masks its own bars. */
function cellText(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll(/@(?=\w)/g, '@\u200b')
    .replaceAll(/\s+/g, ' ')
}

/** Text as code, in which nothing but a backtick means anything. */
function code(text: string): string {
  return `\`${text.replaceAll('`', "'").replaceAll(/\s+/g, ' ')}\``
}
