import { afterAll, describe, expect, it } from 'vitest'
import { connectDatabase } from '../../../src/db/client.ts'
import { createTestDatabase } from '../../support/test-database.ts'
import { at, codeOf, startTestApi } from './api-under-test.ts'
import { type FinishedRun, storeFinishedRun, storeQueuedRun } from './stored-runs.ts'

const url = await createTestDatabase()
const db = connectDatabase(url)
const api = await startTestApi(url)
afterAll(() => db.close())

const query = `query ($input: CompareRunsInput!) {
  compareRuns(input: $input) {
    __typename reasons baseline { id } candidates { id }
    ... on BenchmarkComparison {
      rows { candidateId phase test ratio interval { low high level } pValue minimumDetectable verdict reasons
        baseline { samples subject { name } } candidate { samples subject { name } } }
    }
  }
}`

const compare = (baseline: string, candidates: string[], more: object = {}) =>
  api.request(query, { input: { baseline: { runId: baseline }, candidates, ...more } })

/** One subject, decode only matters. */
const one = (samples: number[], more: FinishedRun = {}) =>
  storeFinishedRun(db, { kvHeads: [12], decode: [samples], ...more })
const steady = (centre: number) => Array.from({ length: 12 }, (_, index) => centre * (1 + 0.001 * (index % 3)))

/** The row of decode, the second of a run's two series. */
const decodeRow = async (answer: Promise<Awaited<ReturnType<typeof compare>>>) => at(await answer, 'compareRuns.rows.1')

describe('compareRuns', () => {
  it('says FASTER, SLOWER or NO_DIFFERENCE by the interval of the time ratio', async () => {
    const baseline = await one(steady(10))
    expect(await decodeRow(compare(baseline, [await one(steady(5))]))).toMatchObject({
      verdict: 'FASTER',
      reasons: [expect.stringMatching(/^two runs: what drifts/)],
    })
    expect(await decodeRow(compare(baseline, [await one(steady(20))]))).toMatchObject({
      verdict: 'SLOWER',
      test: 'tg8 @ d128',
    })
    expect(await decodeRow(compare(baseline, [await one(steady(10.05))]))).toMatchObject({ verdict: 'NO_DIFFERENCE' })
    const wild = await one([5, 20, 6, 18, 4, 22, 10, 9])
    expect(await decodeRow(compare(baseline, [wild]))).toMatchObject({ verdict: 'INCONCLUSIVE' })
  })

  it('takes the margin that is asked for', async () => {
    const [baseline, candidate] = [await one(steady(10)), await one(steady(11))]
    expect(await decodeRow(compare(baseline, [candidate]))).toMatchObject({ verdict: 'SLOWER' })
    expect(await decodeRow(compare(baseline, [candidate], { margin: 0.2 }))).toMatchObject({ verdict: 'NO_DIFFERENCE' })
  })

  it('says NOT_COMPARABLE and why where the machine differs, and gives the ratio only when forced', async () => {
    const [baseline, candidate] = [await one(steady(10)), await one(steady(5), { hostname: 'elsewhere' })]
    const answer = await compare(baseline, [candidate])
    expect(at(answer, 'compareRuns.reasons')).toEqual([expect.stringContaining('machine differs')])
    expect(at(answer, 'compareRuns.rows.1')).toMatchObject({
      verdict: 'NOT_COMPARABLE',
      ratio: null,
      interval: null,
      reasons: [expect.stringContaining('machine')],
    })
    const forced = await compare(baseline, [candidate], { force: true })
    expect(at(forced, 'compareRuns.rows.1')).toMatchObject({
      reasons: [expect.stringContaining('machine'), expect.stringMatching(/^two runs/)],
    })
    expect(at(forced, 'compareRuns.rows.1.ratio')).toBeCloseTo(0.5)
  })

  it('gives the probability of such a difference by chance, and the least that would show', async () => {
    const answer = await compare(await one(steady(10)), [await one(steady(5))])
    // All twelve of one side below all twelve of the other: two of the deals are as far apart.
    expect(at(answer, 'compareRuns.rows.1.pValue')).toBeCloseTo(2 / 2_704_156, 12)
    expect(at(answer, 'compareRuns.rows.1.minimumDetectable')).toBeLessThan(0.01)
    expect(at(answer, 'compareRuns.rows.1.minimumDetectable')).toBeGreaterThan(0)
    expect(at(answer, 'compareRuns.rows.0')).toMatchObject({ phase: 'LOAD', pValue: null, minimumDetectable: null })
  })

  it('says what it would take where it cannot tell', async () => {
    const wild = [9, 11, 8, 12, 10, 13, 9.5, 10.5]
    const row = await decodeRow(compare(await one(wild), [await one([...wild].reverse())]))
    expect(row).toMatchObject({
      verdict: 'INCONCLUSIVE',
      reasons: [
        expect.stringMatching(/^the interval .* allows less as well as more; about .* in place of 8 would tell/),
      ],
    })
  })

  it('says NOT_COMPARABLE with both values where the engine or the cores are others', async () => {
    const environment = { timingVersion: 7, onnxruntime: '1.31.0', cpu: 'Other CPU' }
    const answer = await compare(await one(steady(10)), [await one(steady(10), { environment })], { force: true })
    expect(at(answer, 'compareRuns.rows.1')).toMatchObject({
      verdict: 'NO_DIFFERENCE',
      reasons: [
        'processor differs: Test CPU in the baseline, Other CPU here',
        'timing version of kvscope differs: 1 in the baseline, 7 here',
        'onnxruntime differs: 1.30.0 in the baseline, 1.31.0 here',
      ],
    })
  })

  it('compares each metric', async () => {
    const [baseline, candidate] = [await one(steady(10)), await one(steady(5))]
    const row = (metric: string) => decodeRow(compare(baseline, [candidate], { metric }))
    expect(await row('TOKENS_PER_SECOND')).toMatchObject({ verdict: 'FASTER', ratio: expect.closeTo(2, 1) })
    expect(await row('KV_CACHE_BYTES')).toMatchObject({ verdict: 'NO_DIFFERENCE', ratio: 1, interval: null })
    expect(await row('PEAK_MEMORY_BYTES')).toMatchObject({ verdict: 'NO_DIFFERENCE', ratio: 1, interval: null })
  })

  it('says NOT_COMPARABLE where the weights differ, and where a subject has no partner', async () => {
    const baseline = await one(steady(10))
    const other = await one(steady(10), { fingerprint: 'other' })
    expect(await decodeRow(compare(baseline, [other]))).toMatchObject({ verdict: 'NOT_COMPARABLE' })
    const two = await storeFinishedRun(db, { kvHeads: [12, 4], decode: [steady(10), steady(5)] })
    const rows = at(await compare(baseline, [two]), 'compareRuns.rows')
    expect(rows).toMatchObject([
      { phase: 'LOAD' },
      { phase: 'DECODE', verdict: 'NO_DIFFERENCE' },
      { verdict: 'NOT_COMPARABLE', baseline: null, candidate: { subject: { name: 'kv4' } } },
      { verdict: 'NOT_COMPARABLE', baseline: null, candidate: { subject: { name: 'kv4' } } },
    ])
  })

  it('keeps the rows of several candidates apart, in the order they were named', async () => {
    const [baseline, fast, slow] = [await one(steady(10)), await one(steady(5)), await one(steady(20))]
    const answer = await compare(baseline, [slow, fast])
    expect(at(answer, 'compareRuns')).toMatchObject({
      __typename: 'BenchmarkComparison',
      baseline: { id: baseline },
      candidates: [{ id: slow }, { id: fast }],
      rows: [
        { candidateId: slow },
        { candidateId: slow, verdict: 'SLOWER' },
        { candidateId: fast },
        { candidateId: fast, verdict: 'FASTER' },
      ],
    })
  })

  it('says so where a run has nothing measured yet', async () => {
    const answer = await compare(await one(steady(10)), [await storeQueuedRun(db, [12])])
    expect(at(answer, 'compareRuns.reasons')).toEqual([expect.stringContaining('QUEUED')])
    expect(at(answer, 'compareRuns.rows.0')).toMatchObject({ verdict: 'NOT_COMPARABLE', candidate: null })
  })

  it('refuses no candidate, more than ten, a margin that is no share, and runs that are not stored', async () => {
    const id = await one(steady(10))
    const nobody = '00000000-0000-4000-8000-000000000000'
    expect(codeOf(await compare(id, []))).toBe('VALIDATION_FAILED')
    expect(
      codeOf(
        await compare(
          id,
          Array.from({ length: 11 }, () => id),
        ),
      ),
    ).toBe('LIMIT_EXCEEDED')
    expect(codeOf(await compare(id, [id], { margin: -0.1 }))).toBe('VALIDATION_FAILED')
    expect(codeOf(await compare(id, [id], { margin: 1 }))).toBe('VALIDATION_FAILED')
    expect(codeOf(await compare(id, [nobody]))).toBe('NOT_FOUND')
    expect(codeOf(await compare(nobody, [id]))).toBe('NOT_FOUND')
  })
})
