import type { ReportBlock } from '../render/report.ts'
import { drawTrials } from '../render/trial-dots.ts'
import { formatBytes, formatInteger, formatMilliseconds, formatRate, formatRatio } from '../render/units.ts'
import type { BenchmarkRun, Series } from './benchmark-run.ts'
import { conclude } from './conclusions.ts'
import { groupSeries, phaseLabel, stepsOf } from './run-labels.ts'
import { cachedTokens, deepestDecode, kvBytesPerToken } from './run-report.ts'

const right = { align: 'right' } as const

/** A benchmark in a report: times with ratios and intervals, every trial as a dot, the caches, and what it shows. */
export function reportBenchmark(run: BenchmarkRun): ReportBlock[] {
  if (run.series.length === 0) return [{ of: 'text', text: 'Nothing has been timed.' }]
  return [
    { of: 'heading', text: 'Times' },
    timesTable(run),
    { of: 'heading', text: 'Every trial' },
    ...groupSeries(run).flatMap(trialsPicture),
    { of: 'heading', text: 'KV cache' },
    cacheTable(run),
    { of: 'heading', text: 'What this shows, and what not' },
    { of: 'list', items: conclude(run) },
    { of: 'heading', text: 'Samples' },
    samplesTable(run),
  ]
}

function labelOf(series: Series): string {
  return `${phaseLabel(series)}${series.phase === 'DECODE' ? ', time of one token' : ''}`
}

function timesTable(run: BenchmarkRun): ReportBlock {
  const baseline = run.subjects[0]?.name ?? ''
  return {
    of: 'table',
    caption: `Ratio: time of the median / that of ${baseline}, with its 95 % bootstrap interval; below 1 takes less time. A single value has no interval.`,
    table: {
      columns: [
        { title: 'measured' },
        { title: 'model' },
        { title: 'median', ...right },
        { title: 'interval', ...right },
        { title: '± sd', ...right },
        { title: 'trials', ...right },
        { title: 'tokens/s', ...right },
        { title: 'ratio [95 %]', ...right },
      ],
      rows: groupSeries(run).flatMap((group) =>
        group.map((series, index) => {
          const { summary, subject, tokensPerSecond } = series
          const steps = stepsOf(series)
          return [
            index === 0 ? labelOf(series) : '',
            subject.name,
            formatMilliseconds(summary.median / steps),
            summary.interval === null
              ? '–'
              : `${formatMilliseconds(summary.interval.low / steps)} to ${formatMilliseconds(summary.interval.high / steps)}`,
            summary.standardDeviation === null
              ? '–'
              : `${((100 * summary.standardDeviation) / summary.mean).toFixed(1)}\u00a0%`,
            String(summary.count),
            tokensPerSecond === null ? '–' : formatRate(tokensPerSecond.median),
            ratioOf(run, series),
          ]
        }),
      ),
    },
  }
}

function ratioOf(run: BenchmarkRun, { subject, phase, test }: Series): string {
  if (subject.index === 0) return '1'
  const row = run.comparison.find(
    (each) => each.candidate?.subject.index === subject.index && each.phase === phase && each.test === test,
  )
  return row?.ratio == null ? '–' : formatRatio(row.ratio, row.interval)
}

/** Only of what was tried more than once. */
function trialsPicture(group: readonly Series[]): ReportBlock[] {
  const [first] = group
  if (first === undefined || group.every(({ samples }) => samples.length < 2)) return []
  const rows = group.map((series) => {
    const { subject, samples, summary } = series
    const steps = stepsOf(series)
    return {
      label: subject.name,
      kind: subject.model.attentionKind,
      samples: samples.map((sample) => sample / steps),
      median: summary.median / steps,
      interval: summary.interval && { low: summary.interval.low / steps, high: summary.interval.high / steps },
    }
  })
  const caption =
    'A dot is a trial, the first above and the last below; the line is the median, the band its 95 % interval.'
  return [{ of: 'picture', svg: drawTrials({ title: labelOf(first), rows }), caption }]
}

function cacheTable(run: BenchmarkRun): ReportBlock {
  return {
    of: 'table',
    caption: 'Bytes by the formula, and measured: the tensors fed in the last step of the deepest decode',
    table: {
      columns: [
        { title: 'model' },
        { title: 'bytes/token, formula', ...right },
        { title: 'bytes/token, measured', ...right },
        { title: 'cached tokens', ...right },
        { title: 'measured cache', ...right },
      ],
      rows: run.subjects.map((subject) => {
        const decode = deepestDecode(run, subject)
        const bytes = decode?.kvCacheBytes ?? null
        const tokens = decode === null ? 0 : cachedTokens(decode)
        return [
          subject.name,
          formatInteger(kvBytesPerToken(subject)),
          bytes === null || tokens === 0 ? '–' : formatInteger(bytes / tokens),
          tokens === 0 ? '–' : formatInteger(tokens),
          bytes === null ? '–' : formatBytes(bytes),
        ]
      }),
    },
  }
}

function samplesTable(run: BenchmarkRun): ReportBlock {
  return {
    of: 'table',
    caption: 'Milliseconds of one whole trial each, in the order in which they were taken',
    table: {
      columns: [{ title: 'measured' }, { title: 'model' }, { title: 'milliseconds' }],
      rows: groupSeries(run).flatMap((group) =>
        group.map((series, index) => [
          index === 0 ? phaseLabel(series) : '',
          series.subject.name,
          series.samples.map((sample) => sample.toFixed(2)).join('  '),
        ]),
      ),
    },
  }
}
