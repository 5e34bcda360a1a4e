import type { BenchmarkComparison, ComparedRow } from '../../../../src/cli/benchmarks/compared-rows.ts'

const machine = { hostname: 'alpha', cpu: 'a processor', cores: 2, onnxruntime: '1.30.0', kvscope: '0.1.0' }
const run = (id: string) => ({ id, note: 'nightly', queuedAt: '2026-11-24T08:00:00.000Z', environment: machine })

function series(name: string, median: number, kvCacheBytes: number | null): ComparedRow['candidate'] {
  const interval = { low: median * 0.99, high: median * 1.01, level: 0.95 }
  const summary = { count: 10, median, mean: median, standardDeviation: 1, minimum: median, maximum: median, interval }
  return {
    subject: { name, synthetic: false },
    promptTokens: 0,
    generatedTokens: 8,
    depth: 0,
    batch: 1,
    summary,
    tokensPerSecond: { median: 8000 / median, interval },
    kvCacheBytes,
    peakMemoryBytes: 1e9,
  }
}

/** A row of a decode whose ratio and interval are as given. */
export function row(
  ratio: number | null,
  interval: [number, number] | null,
  changed: Partial<ComparedRow> & { name?: string } = {},
): ComparedRow {
  const { name = 'gpt2', ...rest } = changed
  return {
    candidateId: '0193a1c4-0000-7000-8000-000000000002',
    baseline: series(name, 100, 4096),
    candidate: series(name, 100 * (ratio ?? 1), 4096),
    phase: 'DECODE',
    test: 'tg8 @ d512',
    ratio,
    interval: interval === null ? null : { low: interval[0], high: interval[1], level: 0.95 },
    pValue: 0.002,
    minimumDetectable: 0.013,
    verdict: 'SLOWER',
    reasons: [],
    ...rest,
  }
}

export function comparison(rows: ComparedRow[]): BenchmarkComparison {
  return {
    __typename: 'BenchmarkComparison',
    reasons: [],
    baseline: run('0193a1b2-0000-7000-8000-000000000001'),
    candidates: [run('0193a1c4-0000-7000-8000-000000000002')],
    rows,
  }
}
