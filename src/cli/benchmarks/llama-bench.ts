import { csvRecord } from '../../render/csv.ts'
import { type Table, tableToMarkdown } from '../../render/table.ts'
import { formatPercent, formatRatio } from '../../render/units.ts'
import type { BenchmarkRun, Series, SeriesComparison } from '../benchmark-run.ts'

const bytesPerWeight = { F32: 4, F16: 2, BF16: 2 } as const

type Cell = string | number | boolean | null

interface NamedRow {
  /** llama-bench's fields, then ours, in order */
  fields: Record<string, Cell>
  samplesNs: number[]
  samplesTs: number[]
}

/**
 * One row for each test of each subject, as llama-bench's json, jsonl and csv have them. Its fields keep their names where
 * they mean the same; `n_batch`, which is a size of its prompt processing, and what only llama.cpp has are left out.
 * Loading has no row there, and is `load_ms` in each row here.
 */
function benchRows(run: BenchmarkRun): NamedRow[] {
  return run.series.filter(({ phase }) => phase !== 'LOAD').map((series) => namedRow(run, series))
}

function namedRow(run: BenchmarkRun, series: Series): NamedRow {
  const { subject, summary, tokensPerSecond } = series
  const row = comparisonOf(run, series)
  return {
    fields: {
      cpu_info: run.environment?.cpu ?? '',
      backends: subject.device,
      model_filename: fileOf(run, series),
      model_type: `${subject.model.family} ${scaled(subject.model.parameters)}${subject.dtype === null ? '' : ` ${subject.dtype}`}`,
      model_size: weightBytes(series),
      model_n_params: subject.model.parameters,
      n_threads: subject.threads ?? run.environment?.cores ?? null,
      type_k: subject.kvDtype.toLowerCase(),
      type_v: subject.kvDtype.toLowerCase(),
      n_prompt: series.promptTokens,
      n_gen: series.generatedTokens,
      n_depth: series.depth,
      test_time: (run.startedAt ?? run.queuedAt).replace(/\.\d+Z$/, 'Z'),
      avg_ns: nanoseconds(summary.mean),
      stddev_ns: nanoseconds(summary.standardDeviation ?? 0),
      avg_ts: tokensPerSecond?.mean ?? null,
      stddev_ts: tokensPerSecond?.standardDeviation ?? 0,
      ...ownFields(run, series, row),
    },
    samplesNs: series.samples.map(nanoseconds),
    samplesTs: series.samples.map((milliseconds) => (1000 * tokensOf(series)) / milliseconds),
  }
}

function ownFields(run: BenchmarkRun, series: Series, row: SeriesComparison | null): Record<string, Cell> {
  const { subject, summary } = series
  const load = run.series.find((each) => each.phase === 'LOAD' && each.subject.index === subject.index)
  return {
    model: subject.name,
    phase: series.phase,
    test: labelOf(series),
    kind: subject.model.attentionKind,
    kv_heads: subject.model.kvHeads,
    batch: series.batch,
    runtime: subject.runtime,
    synthetic: subject.synthetic,
    samples: summary.count,
    median_ms: summary.median,
    median_ms_low: summary.interval?.low ?? null,
    median_ms_high: summary.interval?.high ?? null,
    load_ms: load?.summary.median ?? null,
    kv_bytes: series.kvCacheBytes,
    kv_bytes_predicted: series.kvCacheBytesPredicted,
    kv_share: series.kvShareOfBytes,
    bytes_read: series.bytesRead,
    flops: series.flops,
    share_of_bandwidth: series.shareOfBandwidthBound,
    share_of_compute: series.shareOfComputeBound,
    peak_memory_bytes: series.peakMemoryBytes,
    ratio: subject.index === 0 ? 1 : (row?.ratio ?? null),
    ratio_low: row?.interval?.low ?? null,
    ratio_high: row?.interval?.high ?? null,
    p_value: row?.pValue ?? null,
    minimum_detectable: row?.minimumDetectable ?? null,
    verdict: row?.verdict ?? null,
    reasons: row === null ? '' : row.reasons.join('; '),
    warnings: series.warnings.map(({ code }) => code).join(' '),
    run_id: run.id,
    kvscope: run.environment?.kvscope ?? null,
  }
}

/** llama-bench's json: a list of objects. */
export function benchJson(run: BenchmarkRun): object[] {
  return benchRows(run).map(({ fields, samplesNs, samplesTs }) => ({
    ...fields,
    samples_ns: samplesNs,
    samples_ts: samplesTs,
  }))
}

/** The same, an object a line. */
export function benchJsonLines(run: BenchmarkRun): string {
  return benchJson(run)
    .map((row) => `${JSON.stringify(row)}\n`)
    .join('')
}

/** The same as CSV (RFC 4180) without the samples, which llama-bench's has neither; no cell is a spreadsheet's formula. */
export function benchCsv(run: BenchmarkRun): string {
  const rows = benchRows(run).map(({ fields }) => fields)
  const names = Object.keys(rows[0] ?? {})
  return [names, ...rows.map((fields) => names.map((name) => fields[name] ?? null))].map(csvRecord).join('')
}

/** llama-bench's table in Markdown, with columns of our own after its. */
export function benchMarkdown(run: BenchmarkRun): string {
  const right = { align: 'right' } as const
  const several = run.subjects.length > 1
  const table: Table = {
    columns: [
      { title: 'model' },
      { title: 'size', ...right },
      { title: 'params', ...right },
      { title: 'backend' },
      { title: 'threads', ...right },
      { title: 'test', ...right },
      { title: 't/s', ...right },
      { title: 'kind' },
      { title: 'kv heads', ...right },
      { title: 'median ms', ...right },
      { title: '95 %', ...right },
      { title: 'kv bytes', ...right },
      { title: 'kv share', ...right },
      ...(several ? [{ title: 'ratio [95 %]' }, { title: 'verdict' }] : []),
    ],
    rows: run.series.filter(({ phase }) => phase !== 'LOAD').map((series) => markdownCells(run, series, several)),
  }
  return tableToMarkdown(table)
}

function markdownCells(run: BenchmarkRun, series: Series, several: boolean): string[] {
  const { subject, summary, tokensPerSecond } = series
  const { model } = subject
  const row = comparisonOf(run, series)
  const rate = tokensPerSecond
  const ratio = row?.ratio == null ? '' : formatRatio(row.ratio, row.interval)
  return [
    subject.synthetic ? `${subject.name} (SYNTHETIC WEIGHTS)` : subject.name,
    binarySize(weightBytes(series)),
    scaled(model.parameters),
    subject.device,
    `${subject.threads ?? run.environment?.cores ?? ''}`,
    labelOf(series),
    rate === null ? '' : `${rate.mean.toFixed(2)} ± ${(rate.standardDeviation ?? 0).toFixed(2)}`,
    model.attentionKind,
    `${model.kvHeads ?? ''}`,
    summary.median.toFixed(3),
    summary.interval === null ? '' : `${summary.interval.low.toFixed(3)} to ${summary.interval.high.toFixed(3)}`,
    `${series.kvCacheBytes ?? ''}`,
    series.kvShareOfBytes === null ? '' : formatPercent(series.kvShareOfBytes),
    ...(several ? [subject.index === 0 ? '1' : ratio, subject.index === 0 ? '' : (row?.verdict ?? '')] : []),
  ]
}

/** Tokens that one trial processes and generates, all sequences together. */
function tokensOf({ promptTokens, generatedTokens, batch }: Series): number {
  return (promptTokens + generatedTokens) * batch
}

/** llama-bench's name of a test; cold and forward passes of a prompt are called what they are. */
function labelOf({ phase, test }: Series): string {
  return test ?? phase.toLowerCase()
}

function comparisonOf(run: BenchmarkRun, series: Series): SeriesComparison | null {
  const found = run.comparison.find(
    ({ candidate, phase, test }) =>
      candidate?.subject.index === series.subject.index && phase === series.phase && test === series.test,
  )
  return found ?? null
}

/** Bytes of all parameters in the type that the checkpoint stores most of them in. */
function weightBytes({ subject }: Series): number {
  return subject.model.parameters * bytesPerWeight[subject.dtype ?? 'F32']
}

function nanoseconds(milliseconds: number): number {
  return Math.round(milliseconds * 1e6)
}

/** `124.44 M`, `6.74 B`: llama-bench's way. */
function scaled(count: number): string {
  return count < 1e9 ? `${(count / 1e6).toFixed(2)} M` : `${(count / 1e9).toFixed(2)} B`
}

function binarySize(bytes: number): string {
  return bytes < 2 ** 30 ? `${(bytes / 2 ** 20).toFixed(2)} MiB` : `${(bytes / 2 ** 30).toFixed(2)} GiB`
}

/** The folder or the repository of a subject's checkpoint, or the preset that its weights were drawn for. */
function fileOf(run: BenchmarkRun, { subject }: Series): string {
  const source = memberOf(memberOf(memberOf(run.spec, 'subjects'), subject.index), 'source')
  const path = memberOf(memberOf(source, 'local'), 'path')
  const repo = memberOf(memberOf(source, 'hub'), 'repo')
  const preset = memberOf(memberOf(source, 'synthetic'), 'preset')
  return [path, repo, preset].find((name) => typeof name === 'string') ?? subject.name
}

function memberOf(value: unknown, key: PropertyKey): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined
}
