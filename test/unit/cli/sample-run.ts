import type { BenchmarkRun, Series, SeriesComparison, Subject } from '../../../src/cli/benchmark-run.ts'

const sizes = {
  layers: 24,
  heads: 16,
  keyDim: 64,
  valueDim: 64,
  hiddenSize: 1024,
  contextLength: 1024,
  vocabularySize: 50257,
}

/** gpt2-medium's shape with so many K/V heads. */
export function subject(
  index: number,
  kvHeads: number,
  changed: { layers?: number; synthetic?: boolean } = {},
): Subject {
  const kind = kvHeads === 16 ? 'MHA' : kvHeads === 1 ? 'MQA' : 'GQA'
  return {
    index,
    name: kvHeads === 16 ? 'gpt2-medium' : `gpt2-medium-kv${kvHeads}`,
    model: {
      ...sizes,
      layers: changed.layers ?? 24,
      name: 'gpt2-medium',
      family: 'gpt2',
      attentionKind: kind,
      kvHeads,
      parameters: 354_823_168 - 24 * 2 * 1024 * 64 * (16 - kvHeads),
      activeParameters: null,
      parameterParts: [],
      kvBytesPerToken: 24 * 2 * kvHeads * 64 * 2,
      layerAttention: [],
      votes: [],
      warnings: [],
    },
    dtype: 'F32',
    computeDtype: 'F32',
    kvDtype: 'F32',
    device: 'CPU',
    threads: null,
    runtime: 'KVSCOPE',
    synthetic: changed.synthetic ?? true,
    fingerprint: null,
  }
}

export interface Timing {
  ratio: number
  low: number
  high: number
}

function summary(median: number, count: number) {
  const interval = count < 3 ? null : { low: median * 0.98, high: median * 1.02, level: 0.95 }
  const standardDeviation = count < 2 ? null : median * 0.02
  return { count, median, mean: median, standardDeviation, minimum: median, maximum: median, interval }
}

/** A decode of 8 tokens at a depth, taking 400 ms. */
function decode(of: Subject, depth: number): Series {
  const bytes = of.model.kvBytesPerToken * 2 * (depth + 7)
  return {
    runId: 'run',
    subject: of,
    phase: 'DECODE',
    test: `tg8 @ d${depth}`,
    promptTokens: 0,
    generatedTokens: 8,
    depth,
    batch: 1,
    samples: [400],
    summary: summary(400, 10),
    tokensPerSecond: summary(20, 10),
    kvCacheBytes: bytes,
    kvCacheBytesPredicted: bytes,
    kvCacheBytesAllocated: 2 * bytes,
    peakMemoryBytes: null,
    peakMemoryBytesPredicted: null,
    bytesRead: 8 * 4 * of.model.parameters + 8 * bytes,
    kvBytesRead: 8 * bytes,
    kvShareOfBytes: bytes / (4 * of.model.parameters + bytes),
    flops: 8 * 2 * of.model.parameters,
    shareOfBandwidthBound: 0.75,
    shareOfComputeBound: 0.12,
    predictions: [],
    warnings: [],
  }
}

function load(of: Subject): Series {
  const single = { ...summary(1500, 1), interval: null }
  const none = { kvCacheBytes: null, kvCacheBytesPredicted: null, kvCacheBytesAllocated: null, tokensPerSecond: null }
  const sizesOf = { promptTokens: 0, generatedTokens: 0, depth: 0, test: null, samples: [1500] }
  return { ...decode(of, 0), ...none, ...sizesOf, phase: 'LOAD', summary: single }
}

/** A run whose decodes at depth 9 and 512 compare with the first subject's as given. */
export function sampleRun(subjects: Subject[], at9: Timing, at512: Timing): BenchmarkRun {
  const series = subjects.flatMap((each) => [load(each), decode(each, 9), decode(each, 512)])
  const find = (of: Subject, depth: number) => series.find((one) => one.subject === of && one.depth === depth) ?? null
  const [first, ...others] = subjects
  const comparison = others.flatMap((each) =>
    [9, 512].map((depth): SeriesComparison => {
      const { ratio, low, high } = depth === 9 ? at9 : at512
      const baseline = first === undefined ? null : find(first, depth)
      const interval = { low, high, level: 0.95 }
      const test = `tg8 @ d${depth}`
      return {
        candidateId: 'run',
        baseline,
        candidate: find(each, depth),
        phase: 'DECODE',
        test,
        ratio,
        interval,
        pValue: 0.004,
        minimumDetectable: 0.018,
        verdict: 'FASTER',
        reasons: [],
      }
    }),
  )
  return {
    id: '0193a1b2-0000-7000-8000-000000000000',
    kind: 'BENCHMARK',
    status: 'SUCCEEDED',
    labels: [],
    note: null,
    pinned: false,
    spec: {},
    subjects,
    fraction: 1,
    queuePosition: null,
    placement: null,
    queuedAt: '2026-11-24T08:00:00.000Z',
    startedAt: '2026-11-24T08:00:00.000Z',
    finishedAt: '2026-11-24T08:01:00.000Z',
    attempt: 1,
    workerId: null,
    environment: null,
    error: null,
    warnings: [],
    events: [],
    series,
    keyFigure: null,
    comparison,
    fits: [],
    chartUrl: null,
  }
}
