import { describe, expect, it } from 'vitest'
import { benchCsv, benchJson, benchJsonLines, benchMarkdown } from '../../../../src/cli/benchmarks/llama-bench.ts'
import { parseCsv } from '../../../support/parse-csv.ts'
import { sampleRun, subject } from '../sample-run.ts'

const run = sampleRun(
  [subject(0, 16), subject(1, 4)],
  { ratio: 0.92, low: 0.9, high: 0.94 },
  { ratio: 0.7, low: 0.68, high: 0.73 },
)

/** Those of llama-bench's fields that have a meaning here, in its order. */
const fields = [
  ...['cpu_info', 'backends', 'model_filename', 'model_type', 'model_size', 'model_n_params', 'n_threads'],
  ...['type_k', 'type_v', 'n_prompt', 'n_gen', 'n_depth', 'test_time', 'avg_ns', 'stddev_ns', 'avg_ts', 'stddev_ts'],
]

describe("results in llama-bench's words", () => {
  it('have its fields first and in its order, ours after them, and its samples last', () => {
    const rows = benchJson(run)
    expect(rows).toHaveLength(4)
    const names = Object.keys(rows[0] ?? {})
    expect(names.slice(0, fields.length)).toEqual(fields)
    expect(names.slice(-2)).toEqual(['samples_ns', 'samples_ts'])
    expect(rows[1]).toMatchObject({
      n_prompt: 0,
      n_gen: 8,
      n_depth: 512,
      test_time: '2026-11-24T08:00:00Z',
      model_type: 'gpt2 354.82 M F32',
      model_size: 4 * 354_823_168,
      avg_ns: 400e6,
      stddev_ns: 8e6,
      avg_ts: 20,
      samples_ns: [400e6],
      samples_ts: [20],
      ratio: 1,
      load_ms: 1500,
    })
    expect(rows[3]).toMatchObject({ ratio: 0.7, ratio_low: 0.68, ratio_high: 0.73, verdict: 'FASTER', kv_heads: 4 })
  })

  it('are one object a line as jsonl, and the same rows without samples as CSV', () => {
    const lines = benchJsonLines(run).trimEnd().split('\n')
    expect(lines.map((line) => JSON.parse(line))).toEqual(benchJson(run))
    const records = parseCsv(benchCsv(run))
    expect(records).toHaveLength(4)
    expect(records[3]).toMatchObject({ n_depth: '512', ratio: '0.7', verdict: 'FASTER', synthetic: 'true' })
    expect(records[0]).not.toHaveProperty('samples_ns')
  })

  it('make no formula of a name in CSV', () => {
    const named = { ...run, series: run.series.map((one) => ({ ...one, subject: { ...one.subject, name: '=1+1' } })) }
    expect(benchCsv(named)).toContain(",'=1+1,")
  })

  it('are its table in Markdown with columns of ours behind', () => {
    const [titles = '', rule = '', first = ''] = benchMarkdown(run).split('\n')
    const cells = (line: string) =>
      line
        .split('|')
        .map((cell) => cell.trim())
        .slice(1, -1)
    expect(cells(titles).slice(0, 7)).toEqual(['model', 'size', 'params', 'backend', 'threads', 'test', 't/s'])
    expect(rule).toMatch(/^\| -+ \| -+: \|/)
    expect(cells(first).slice(1, 7)).toEqual(['1.32 GiB', '354.82 M', 'CPU', '', 'tg8 @ d9', '20.00 ± 0.40'])
    expect(first).toContain('SYNTHETIC WEIGHTS')
  })
})
