import { describe, expect, it } from 'vitest'
import type { ComparableSeries } from '../../../src/stats/comparable-series.ts'
import { compareSeries, compareSubjects } from '../../../src/stats/compare-series.ts'

const slow = [100, 101, 102, 103, 104]
const fast = [50, 50.5, 51, 51.5, 52]

const series = (fields: Partial<ComparableSeries> = {}): ComparableSeries => ({
  runId: 'run-1',
  subjectName: 'gpt2-medium',
  fingerprint: 'f1',
  device: 'CPU',
  threads: 2,
  hostname: 'kiln',
  cpu: 'EPYC',
  phase: 'DECODE',
  test: 'tg8 @ d512',
  promptTokens: 0,
  samples: slow,
  kvCacheBytes: 400,
  peakMemoryBytes: null,
  ...fields,
})
const other = (fields: Partial<ComparableSeries> = {}) => series({ runId: 'run-2', samples: fast, ...fields })
const onlyRow = <Row>(rows: Row[]): Row => {
  expect(rows).toHaveLength(1)
  const [row] = rows
  if (row === undefined) throw new Error('no row')
  return row
}

describe('compareSeries', () => {
  it('calls half the time FASTER, with the ratio and its interval', () => {
    const row = onlyRow(compareSeries([series()], [other()]))
    expect(row).toMatchObject({ ratio: 0.5, verdict: 'FASTER', reasons: [], phase: 'DECODE', test: 'tg8 @ d512' })
    expect(row.interval?.high).toBeLessThan(0.55)
  })
  it('turns the ratio round for tokens per second and keeps the verdict', () => {
    const row = onlyRow(compareSeries([series()], [other()], { metric: 'TOKENS_PER_SECOND' }))
    expect(row).toMatchObject({ ratio: 2, verdict: 'FASTER' })
    expect(row.interval?.low).toBeGreaterThan(1.8)
  })
  it.each([
    ['subject', { subjectName: 'gpt2' }, /subject differs: gpt2-medium in the baseline, gpt2 here/],
    ['weights', { fingerprint: 'f2' }, /gpt2-medium has other weights/],
    ['machine', { hostname: 'forge' }, /machine differs: kiln in the baseline, forge here/],
    ['processor', { cpu: 'Xeon' }, /processor differs/],
    ['device', { device: 'CUDA' }, /device differs/],
    ['threads', { threads: 1 }, /threads differs: 2 in the baseline, 1 here/],
    ['test', { test: 'tg8 @ d9' }, /test differs: tg8 @ d512 in the baseline, tg8 @ d9 here/],
    ['prompt', { promptTokens: 10 }, /prompt length differs: 0 in the baseline, 10 here/],
  ] as const)('is NOT_COMPARABLE where the %s differs, and says so', (_, fields, reason) => {
    const row = onlyRow(compareSeries([series()], [other(fields)]))
    expect(row).toMatchObject({ verdict: 'NOT_COMPARABLE', ratio: null, interval: null })
    expect(row.reasons.join()).toMatch(reason)
  })
  it('compares all the same when forced, and keeps the reasons', () => {
    const row = onlyRow(compareSeries([series()], [other({ hostname: 'forge' })], { force: true }))
    expect(row).toMatchObject({ verdict: 'FASTER', ratio: 0.5 })
    expect(row.reasons).toHaveLength(1)
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
    expect(row.reasons).toEqual(['one sample has no spread, so there is no interval'])
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
  it('pairs the blocks: shared noise does not hide a difference of two per cent', () => {
    const weather = [100, 160, 120, 190, 140, 110, 150]
    const [row] = compareSubjects(
      [series({ samples: weather }), series({ subjectName: 'b', samples: weather.map((value) => value * 0.95) })],
      'gpt2-medium',
    )
    expect(row?.verdict).toBe('FASTER')
  })
})
