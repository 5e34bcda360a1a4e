import { describe, expect, it } from 'vitest'
import type { ComparableSeries } from '../../../src/stats/comparable-series.ts'
import { compareSeries, compareSubjects, minimumDetectableOf, pValueOf } from '../../../src/stats/compare-series.ts'

const slow = [100, 101, 102, 103, 104]
const fast = [50, 50.5, 51, 51.5, 52]

const series = (fields: Partial<ComparableSeries> = {}): ComparableSeries => ({
  runId: 'run-1',
  subjectName: 'gpt2-medium',
  fingerprint: 'f1',
  dtype: 'F32',
  computeDtype: 'F32',
  device: 'CPU',
  runtime: 'KVSCOPE',
  threads: 2,
  hostname: 'kiln',
  cpu: 'EPYC',
  cores: 2,
  timingVersion: 2,
  onnxruntime: '1.30.0',
  phase: 'DECODE',
  test: 'tg8 @ d512',
  promptTokens: 0,
  generatedTokens: 8,
  batch: 1,
  samples: slow,
  kvCacheBytes: 400,
  peakMemoryBytes: null,
  ...fields,
})
const other = (fields: Partial<ComparableSeries> = {}) => series({ runId: 'run-2', samples: fast, ...fields })
/** What is said beside every verdict between two runs. */
const drift = expect.stringMatching(/^two runs: what drifts/)
const onlyRow = <Row>(rows: Row[]): Row => {
  expect(rows).toHaveLength(1)
  const [row] = rows
  if (row === undefined) throw new Error('no row')
  return row
}

describe('compareSeries', () => {
  it('calls half the time FASTER, with the ratio and its interval', () => {
    const row = onlyRow(compareSeries([series()], [other()]))
    expect(row).toMatchObject({ ratio: 0.5, verdict: 'FASTER', reasons: [drift], phase: 'DECODE', test: 'tg8 @ d512' })
    expect(row.interval?.high).toBeLessThan(0.55)
  })
  it('turns the ratio round for tokens per second and keeps the verdict', () => {
    const row = onlyRow(compareSeries([series()], [other()], { metric: 'TOKENS_PER_SECOND' }))
    expect(row).toMatchObject({ ratio: 2, verdict: 'FASTER' })
    expect(row.interval?.low).toBeGreaterThan(1.8)
  })
  it.each([
    ['subject', { subjectName: 'gpt2' }, /subject differs: gpt2-medium in the baseline, gpt2 here/],
    ['weights', { fingerprint: 'f2' }, /weights of gpt2-medium differ: fingerprint f1 in the baseline, f2 here/],
    ['machine', { hostname: 'forge' }, /machine differs: kiln in the baseline, forge here/],
    ['processor', { cpu: 'Xeon' }, /processor differs/],
    ['device', { device: 'CUDA' }, /device differs/],
    ['threads', { threads: 1 }, /threads differs: 2 in the baseline, 1 here/],
    ['test', { test: 'tg8 @ d9' }, /test differs: tg8 @ d512 in the baseline, tg8 @ d9 here/],
    ['prompt', { promptTokens: 10 }, /prompt length differs: 0 in the baseline, 10 here/],
    ['batch', { batch: 4 }, /batch differs: 1 in the baseline, 4 here/],
    ['dtype', { dtype: 'F16', fingerprint: 'f2' }, /^dtype differs: F32 in the baseline, F16 here$/],
    ['compute dtype', { computeDtype: 'F16' }, /compute dtype differs: F32 in the baseline, F16 here/],
    ['runtime', { runtime: 'TRANSFORMERS_JS' }, /runtime differs: KVSCOPE in the baseline, TRANSFORMERS_JS here/],
    ['engine', { timingVersion: 1 }, /timing version of kvscope differs: 2 in the baseline, 1 here/],
    ["runtime's version", { onnxruntime: '1.31.0' }, /onnxruntime differs: 1.30.0 in the baseline, 1.31.0 here/],
  ] as const)('is NOT_COMPARABLE where the %s differs, and says so', (_, fields, reason) => {
    const row = onlyRow(compareSeries([series()], [other(fields)]))
    expect(row).toMatchObject({ verdict: 'NOT_COMPARABLE', ratio: null, interval: null })
    expect(row.reasons.join()).toMatch(reason)
  })
  it('names every reason, each with both values', () => {
    const row = onlyRow(compareSeries([series()], [other({ device: 'CUDA', threads: 1, cpu: 'Xeon' })]))
    expect(row.reasons).toEqual([
      'device differs: CPU in the baseline, CUDA here',
      'threads differs: 2 in the baseline, 1 here',
      'processor differs: EPYC in the baseline, Xeon here',
    ])
  })
  it('takes no number of threads for the number of physical cores', () => {
    expect(onlyRow(compareSeries([series()], [other({ threads: null })])).reasons).toEqual([drift])
    const row = onlyRow(compareSeries([series()], [other({ threads: null, cores: 4 })]))
    expect(row.reasons).toEqual(['threads differs: 2 in the baseline, 4 here'])
  })
  it('makes no reason of what was not known when a run was stored', () => {
    const old = series({ dtype: null, cpu: null, onnxruntime: null, timingVersion: null, hostname: null })
    expect(onlyRow(compareSeries([old], [other()])).reasons).toEqual([drift])
  })
  it('compares rates by token where forced to compare prompts of other lengths', () => {
    const prefill = { phase: 'PREFILL', test: 'pp', generatedTokens: 0 }
    const rows = compareSeries(
      [series({ ...prefill, promptTokens: 100 })],
      [other({ ...prefill, promptTokens: 50, samples: slow })],
      { metric: 'TOKENS_PER_SECOND', force: true },
    )
    expect(onlyRow(rows)).toMatchObject({ verdict: 'SLOWER' })
    expect(onlyRow(rows).ratio).toBeCloseTo(0.5, 12)
  })
  it('has no rate where no tokens are processed', () => {
    const load = { phase: 'LOAD', test: '', generatedTokens: 0 }
    const rows = compareSeries([series(load)], [other(load)], { metric: 'TOKENS_PER_SECOND' })
    expect(onlyRow(rows)).toMatchObject({ ratio: null, verdict: 'INCONCLUSIVE' })
  })
  it('says what it would take where it cannot tell', () => {
    const wild = { samples: [100, 130, 90, 120, 80, 105, 125, 95, 110, 85] }
    const row = onlyRow(compareSeries([series(wild)], [other({ samples: [...wild.samples].reverse() })]))
    expect(row.verdict).toBe('INCONCLUSIVE')
    expect(row.reasons).toEqual([
      expect.stringMatching(
        /^the interval 0\.\d{3} to 1\.\d{3} allows less as well as more; about [\d,]+ samples of each in place of 10 would tell 2 %$/,
      ),
    ])
  })
  it('says that no number of blocks helps where the scatter is beyond reason', () => {
    const wild = { samples: [1, 50, 3, 20, 900] }
    const row = onlyRow(compareSeries([series(wild)], [other(wild)]))
    expect(row.reasons.join()).toMatch(/more than 10,000 samples of each in place of 5 .* quieten the machine first/)
  })
  it('gives a p-value and the least detectable difference beside an interval, and neither without', () => {
    const row = onlyRow(compareSeries([series()], [other()]))
    // All five of one side below all five of the other: two of the 252 deals are as far apart.
    expect(pValueOf(row)).toBeCloseTo(2 / 252, 12)
    expect(minimumDetectableOf(row)).toBeGreaterThan(0.01)
    expect(minimumDetectableOf(row)).toBeLessThan(0.1)
    const single = onlyRow(compareSeries([series({ samples: [100] })], [other({ samples: [50] })]))
    expect([pValueOf(single), minimumDetectableOf(single)]).toEqual([null, null])
  })
  it('compares all the same when forced, and keeps the reasons', () => {
    const row = onlyRow(compareSeries([series()], [other({ hostname: 'forge' })], { force: true }))
    expect(row).toMatchObject({ verdict: 'FASTER', ratio: 0.5 })
    expect(row.reasons).toEqual([expect.stringContaining('machine'), drift])
  })
  it('shows what only one run measured as NOT_COMPARABLE rows', () => {
    const rows = compareSeries(
      [series(), series({ phase: 'PREFILL', test: 'pp512' })],
      [other(), other({ phase: 'COLD', test: '' })],
    )
    expect(rows.map((row) => [row.phase, row.verdict, row.baseline !== null, row.candidate !== null])).toEqual([
      ['DECODE', 'FASTER', true, true],
      ['COLD', 'NOT_COMPARABLE', false, true],
      ['PREFILL', 'NOT_COMPARABLE', true, false],
    ])
  })
  it('is INCONCLUSIVE for single values, because one sample has no spread', () => {
    const row = onlyRow(compareSeries([series({ samples: [100] })], [other({ samples: [50] })]))
    expect(row).toMatchObject({ ratio: 0.5, interval: null, verdict: 'INCONCLUSIVE' })
    expect(row.reasons).toEqual(['one sample has no spread, so there is no interval, which takes 5'])
  })
  it('compares bytes exactly and gives no verdict of speed on them', () => {
    const quarter = onlyRow(compareSeries([series()], [other({ kvCacheBytes: 100 })], { metric: 'KV_CACHE_BYTES' }))
    expect(quarter).toMatchObject({ ratio: 0.25, interval: null, verdict: 'INCONCLUSIVE' })
    const same = onlyRow(compareSeries([series()], [other()], { metric: 'KV_CACHE_BYTES' }))
    expect(same).toMatchObject({ ratio: 1, verdict: 'NO_DIFFERENCE', reasons: [] })
    const unmeasured = onlyRow(compareSeries([series()], [other()], { metric: 'PEAK_MEMORY_BYTES' }))
    expect(unmeasured).toMatchObject({ ratio: null, verdict: 'INCONCLUSIVE' })
  })
  it('takes a wider margin into account', () => {
    const close = other({ samples: slow.map((value) => value * 1.04) })
    expect(onlyRow(compareSeries([series()], [close], { margin: 0.15 })).verdict).toBe('NO_DIFFERENCE')
    expect(onlyRow(compareSeries([series()], [close])).verdict).not.toBe('NO_DIFFERENCE')
  })
})

describe('compareSubjects', () => {
  const run = [
    series(),
    series({ phase: 'LOAD', test: '', samples: [1500] }),
    series({ subjectName: 'gpt2-medium-kv1', fingerprint: 'f3', samples: fast }),
    series({ subjectName: 'gpt2-medium-kv1', fingerprint: 'f3', phase: 'PREFILL', test: 'pp512' }),
  ]
  it('compares subjects that differ on purpose', () => {
    const [decode, prefill] = compareSubjects(run, 'gpt2-medium')
    expect(decode).toMatchObject({ ratio: 0.5, verdict: 'FASTER', reasons: [] })
    expect(prefill).toMatchObject({ baseline: null, verdict: 'NOT_COMPARABLE' })
  })
  it('does not compare forwards of prompts that two tokenizers cut into different numbers of tokens', () => {
    const forward = { phase: 'FORWARD', test: '' } as const
    const forwards = [
      series({ ...forward, promptTokens: 9 }),
      series({ ...forward, subjectName: 'llama', promptTokens: 11, samples: fast }),
    ]
    expect(onlyRow(compareSubjects(forwards, 'gpt2-medium'))).toMatchObject({
      verdict: 'NOT_COMPARABLE',
      ratio: null,
      reasons: ['prompt length differs: 9 in the baseline, 11 here'],
    })
    expect(onlyRow(compareSubjects(forwards, 'gpt2-medium', { force: true }))).toMatchObject({
      verdict: 'FASTER',
      reasons: ['prompt length differs: 9 in the baseline, 11 here'],
    })
  })
  it('says so where subjects differ in more than one thing, and nothing where it is one', () => {
    const pair = (fields: Partial<ComparableSeries>) =>
      onlyRow(compareSubjects([series(), series({ subjectName: 'b', samples: fast, ...fields })], 'gpt2-medium'))
    expect(pair({ fingerprint: 'f3', threads: 1 })).toMatchObject({
      verdict: 'FASTER',
      reasons: ['weights and threads (2, 1) differ at once: the ratio does not say which of them it comes from'],
    })
    expect(pair({ threads: 1 }).reasons).toEqual([])
    expect(pair({ fingerprint: 'f3' }).reasons).toEqual([])
    // A copy in another dtype is another file.
    expect(pair({ fingerprint: 'f3', dtype: 'F16' }).reasons).toEqual([])
  })
  it('flips signs block by block for the p-value of subjects', () => {
    const rows = compareSubjects([series(), series({ subjectName: 'b', samples: fast })], 'gpt2-medium')
    expect(pValueOf(onlyRow(rows))).toBe(2 / 32)
  })
  it('pairs the blocks: shared noise does not hide a difference of two per cent', () => {
    const weather = [100, 160, 120, 190, 140, 110, 150]
    const [row] = compareSubjects(
      [series({ samples: weather }), series({ subjectName: 'b', samples: weather.map((value) => value * 0.95) })],
      'gpt2-medium',
    )
    expect(row?.verdict).toBe('FASTER')
  })
})
