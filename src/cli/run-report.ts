import { bar } from '../render/progress.ts'
import { sharingStrip } from '../render/sharing.ts'
import type { Style } from '../render/style.ts'
import { type Table, tableToText, wrap } from '../render/table.ts'
import {
  formatBytes,
  formatCount,
  formatDecimalBytes,
  formatInteger,
  formatMilliseconds,
  formatRate,
  formatRatio,
} from '../render/units.ts'
import type { BenchmarkRun, Series, Subject } from './benchmark-run.ts'
import { groupSeries, phaseLabel, stepsOf, subjectLabels } from './run-labels.ts'
import { placementLines } from './text-parts.ts'

const bytesOf = { F32: 4, F16: 2, BF16: 2, FP8: 1, INT8: 1, INT4: 0.5 } as const

/** Bytes that one more token adds to a subject's cache, by the formula: the schema gives them for F16. */
export function kvBytesPerToken(subject: Subject): number {
  return (subject.model.kvBytesPerToken / bytesOf.F16) * bytesOf[subject.kvDtype]
}

/** The decode series of a subject with the fullest cache; null where none was measured. */
export function deepestDecode(run: BenchmarkRun, subject: Subject): Series | null {
  const decodes = run.series.filter((each) => each.phase === 'DECODE' && each.subject.index === subject.index)
  return decodes.toSorted((a, b) => cachedTokens(b) - cachedTokens(a))[0] ?? null
}

/**
 * Tokens in the cache that the last step of a decode was fed, all sequences together: its own token is not among them,
 * so a single token at depth 0 read none.
 */
export function cachedTokens(series: Pick<Series, 'depth' | 'promptTokens' | 'generatedTokens' | 'batch'>): number {
  return (series.depth + series.promptTokens + Math.max(0, series.generatedTokens - 1)) * series.batch
}

/** The run for people, in at most 80 columns: machine, models with their caches, timings with ratios to the first model. */
export function runReport(run: BenchmarkRun, style: Style): string {
  return [heading(run, style), sharing(run, style), cacheTable(run, style), timings(run, style), warnings(run, style)]
    .filter((part) => part !== '')
    .join('\n\n')
}

/** Which run, on which machine, how it ended, and what of its weights is made up. */
export function heading(run: BenchmarkRun, style: Style): string {
  const { environment } = run
  const machine =
    environment === null
      ? []
      : [
          `${environment.cpu}, ${environment.cores} cores, ${formatDecimalBytes(environment.memoryBytes)} of memory`,
          `onnxruntime ${environment.onnxruntime}, Node ${environment.node}, kvscope ${environment.kvscope}`,
        ]
  const duration =
    run.startedAt === null || run.finishedAt === null
      ? ''
      : `, ${formatMilliseconds(Date.parse(run.finishedAt) - Date.parse(run.startedAt))}`
  const synthetic = run.subjects.some((subject) => subject.synthetic)
  return [
    style.bold(`RUN ${run.id}`),
    `${run.status}${run.error === null ? '' : ` ${run.error.code}`}, ${run.startedAt ?? run.queuedAt}${duration}`,
    ...placementLines(run),
    ...machine.flatMap((line) => wrap(line, 80)),
    ...(synthetic ? [style.warn(syntheticNotice(run.subjects))] : []),
    ...(run.error === null ? [] : [style.bad(run.error.message), ...(run.error.hint === null ? [] : [run.error.hint])]),
  ].join('\n')
}

/** Says which weights are made up: their speed is real, whatever they would write is not. */
export function syntheticNotice(subjects: readonly Subject[]): string {
  const all = subjects.every((subject) => subject.synthetic)
  const who = all
    ? ''
    : ` (${subjects
        .filter((each) => each.synthetic)
        .map((each) => each.name)
        .join(', ')})`
  return `SYNTHETIC WEIGHTS${who}: drawn from a seed; the speed is real, the text would not be`
}

/** Query heads over the K/V heads that serve them, where that fits a line. */
function sharing(run: BenchmarkRun, style: Style): string {
  const labels = subjectLabels(run.subjects)
  const heads = run.subjects[0]?.model.heads ?? 0
  const drawable = run.subjects.every(
    ({ model }) => model.heads === heads && model.kvHeads !== null && heads % model.kvHeads === 0,
  )
  if (!drawable || heads > 28) return ''
  const width = Math.max(...labels.map((label) => label.length), 'query heads'.length)
  return [
    `${'query heads'.padEnd(width)}  ${style.dim('● '.repeat(heads).trimEnd())}`,
    ...run.subjects.map(
      ({ model }, index) =>
        `${(labels[index] ?? '').padEnd(width)}  ${style.accent(sharingStrip(heads, model.kvHeads ?? heads))}`,
    ),
  ].join('\n')
}

/** Parameters and KV cache of every subject: by the formula, as measured, and the first subject's factors. */
export function cacheTable(run: BenchmarkRun, style: Style): string {
  const labels = subjectLabels(run.subjects)
  const rows = run.subjects.map((subject, index) => {
    const decode = deepestDecode(run, subject)
    const measured = decode?.kvCacheBytes ?? null
    return [
      labels[index] ?? '',
      formatCount(subject.model.parameters),
      formatInteger(kvBytesPerToken(subject)),
      measured === null || decode === null || cachedTokens(decode) === 0
        ? '–'
        : formatInteger(measured / cachedTokens(decode)),
      measured === null ? '–' : formatBytes(measured),
    ]
  })
  const [subject] = run.subjects
  const decode = subject === undefined ? null : deepestDecode(run, subject)
  const tokens = decode === null ? null : cachedTokens(decode)
  const table: Table = {
    columns: [
      { title: 'model' },
      { title: 'parameters', align: 'right' },
      { title: 'B/token, formula', align: 'right' },
      { title: 'measured', align: 'right' },
      { title: tokens === null ? 'cache' : `cache of ${formatInteger(tokens)} tokens`, align: 'right' },
    ],
    rows,
  }
  const first = run.subjects[0]
  const factors =
    first === undefined || first.model.kvHeads === null
      ? []
      : [
          `${labels[0]}: ${first.model.layers} layers x ${first.model.kvHeads} K/V heads x ${first.model.keyDim} head dim x 2 (K and V) x ${bytesOf[first.kvDtype]} B = ${formatInteger(kvBytesPerToken(first))} B`,
        ]
  return [
    tableToText(table, { head: style.bold, width: 80 }),
    ...factors.flatMap((line) => wrap(line, 80).map(style.dim)),
  ].join('\n')
}

interface TimingRow {
  series: Series
  ratio: number | null
  interval: { low: number; high: number } | null
}

function timingRows(run: BenchmarkRun, group: readonly Series[]): TimingRow[] {
  return group.map((series) => {
    const row = run.comparison.find(
      (each) =>
        each.candidate?.subject.index === series.subject.index &&
        each.phase === series.phase &&
        each.test === series.test,
    )
    return { series, ratio: row?.ratio ?? null, interval: row?.interval ?? null }
  })
}

const barWidth = 8

/** Medians, scatter, rates and ratios to the first subject, by what was timed; empty where nothing was. */
export function timings(run: BenchmarkRun, style: Style): string {
  const labels = subjectLabels(run.subjects)
  const groups = groupSeries(run)
  if (groups.length === 0) return ''
  const several = run.subjects.length > 1
  const table: Table = {
    columns: [
      { title: '' },
      { title: '' },
      { title: 'median', align: 'right' },
      { title: '± sd', align: 'right' },
      { title: 'n', align: 'right' },
      { title: 'tokens/s', align: 'right' },
      ...(several ? [{ title: 'ratio [95 %]' }] : []),
    ],
    rows: groups.flatMap((group) => {
      const longest = Math.max(...group.map((series) => series.summary.median))
      return timingRows(run, group).map((row) => timingCells(row, labels, longest, several, style))
    }),
  }
  const [titles = '', rule = '', ...lines] = tableToText(table).split('\n')
  const body = groups.flatMap((group) => {
    const head = group[0]
    if (head === undefined) return []
    const unit = head.phase === 'DECODE' ? ', time of one token' : ''
    return [style.bold(phaseLabel(head)) + style.dim(unit), ...lines.splice(0, group.length)]
  })
  const caption = several ? [style.dim(`ratio: time of the median / ${labels[0]}'s, with its bootstrap interval`)] : []
  return [style.bold(titles), rule, ...body, ...caption].join('\n')
}

function timingCells(
  { series, ratio, interval }: TimingRow,
  labels: readonly string[],
  longest: number,
  several: boolean,
  style: Style,
): string[] {
  const { summary } = series
  const steps = stepsOf(series)
  const single = summary.count === 1
  const spread =
    summary.standardDeviation === null ? '' : `±${((100 * summary.standardDeviation) / summary.mean).toFixed(1)} %`
  const isBaseline = series.subject.index === 0
  return [
    `  ${labels[series.subject.index] ?? ''}`,
    style.dim(bar(summary.median / longest, barWidth).padEnd(barWidth)),
    formatMilliseconds(summary.median / steps),
    style.dim(spread),
    single ? style.dim('1') : `${summary.count}`,
    series.tokensPerSecond === null ? '' : formatRate(series.tokensPerSecond.median),
    ...(several ? [isBaseline ? '1' : ratioCell(ratio, interval, style)] : []),
  ]
}

/** Coloured only where the whole interval lies on one side of 1; the figures say the same without colour. */
function ratioCell(ratio: number | null, interval: { low: number; high: number } | null, style: Style): string {
  if (ratio === null) return '–'
  const text = formatRatio(ratio, interval)
  if (interval === null) return style.dim(text)
  return interval.high < 1 ? style.good(text) : interval.low > 1 ? style.bad(text) : text
}

interface ToldWarning {
  code: string
  text: string
  advice: string
  /** how many more of its code there are */
  more: number
}

/** The warnings of the run and its series, those of one code once. */
function toldWarnings(run: BenchmarkRun): ToldWarning[] {
  const all = [
    // Synthetic weights are said at the head of the report.
    ...run.warnings.filter(({ code }) => code !== 'SYNTHETIC_WEIGHTS').map((warning) => ({ warning, where: '' })),
    ...run.series.flatMap((series) =>
      series.warnings
        // Time ending a test early is how the demo and --max-seconds are meant, as long as enough was measured.
        .filter(({ code }) => code !== 'ENDED_EARLY' || series.summary.interval === null)
        .map((warning) => ({ warning, where: `${series.subject.name}, ` })),
    ),
  ]
  const kinds = new Map<string, ToldWarning>()
  for (const { warning, where } of all) {
    const { code, message, advice } = warning
    const known = kinds.get(code)
    if (known === undefined) kinds.set(code, { code, text: where + message, advice, more: 0 })
    else known.more += 1
  }
  return [...kinds.values()]
}

/** The warnings of the run and its series, those of one code once, each with what to do. */
export function warnings(run: BenchmarkRun, style: Style): string {
  return toldWarnings(run)
    .flatMap(({ text, advice, more }) => {
      const others = more > 0 ? ` (and ${more} more such)` : ''
      const [first = '', ...rest] = wrap(`${text}${others}. ${advice}`, 78)
      return [`${style.warn('!')} ${first}`, ...rest.map((line) => `  ${line}`)]
    })
    .join('\n')
}

/**
 * The same in about `most` lines where it would be more: the first by name with what was seen, the others by their names
 * alone, and where to read on.
 */
export function briefWarnings(run: BenchmarkRun, style: Style, most: number): string {
  const whole = warnings(run, style)
  if (whole.split('\n').length <= most) return whole
  const told = toldWarnings(run)
  const name = ({ code, more }: ToldWarning) => `${code}${more > 0 ? ` (${more + 1})` : ''}`
  const shown = told.slice(0, Math.ceil(most / 3))
  const others = told.slice(shown.length).map(name).join(', ')
  return [
    ...shown.map((warning) => {
      const line = `${name(warning)}: ${warning.text}`
      return `${style.warn('!')} ${[...line].length <= 78 ? line : `${[...line].slice(0, 77).join('')}…`}`
    }),
    ...(others === '' ? [] : wrap(`! ${others}`, 80)),
    style.dim(`  what to do: kvscope runs show ${run.id}`),
  ].join('\n')
}
