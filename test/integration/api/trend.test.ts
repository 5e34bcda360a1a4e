import { describe, expect, it } from 'vitest'
import { mostTrendRuns, readTrend } from '../../../src/api/trends.ts'
import { connectDatabase } from '../../../src/db/client.ts'
import { createTestDatabase } from '../../support/test-database.ts'
import { at, codeOf, startTestApi, textAt } from './api-under-test.ts'
import { countStatements } from './counted-statements.ts'
import { storeFailedRun, storeFinishedRun, storeQueuedRun } from './stored-runs.ts'

const query = `query ($input: TrendInput!) { trend(input: $input) {
  points { runId at value interval { low high level } } changes { after { runId } ratio interval { low high } }
  excluded unit chartUrl } }`
const decode = { subject: 'kv12', phase: 'DECODE', test: 'tg8 @ d128' } as const

interface Point {
  runId: string
  at: string
  value: number
  interval: { low: number; high: number; level: number } | null
}

describe('trend', async () => {
  const url = await createTestDatabase()
  const db = connectDatabase(url)
  const api = await startTestApi(url)
  const around = (milliseconds: number, run: number) =>
    [0, 1, 2, 3, 4, 5].map((sample) => milliseconds * (1 + 0.01 * ((sample + run) % 4) + 0.003 * (run % 5)))
  const stored: string[] = []
  for (let run = 0; run < 24; run++) {
    stored.push(await storeFinishedRun(db, { decode: [around(run < 14 ? 80 : 100, run), [5, 5]] }))
  }
  await storeFinishedRun(db, { hostname: 'elsewhere', decode: [[500], [5]] })
  const newest = await storeFinishedRun(db, { decode: [around(100, 30), [5]] })
  await storeFailedRun(db)
  await storeQueuedRun(db)
  const ask = (input: object) => api.request(query, { input: { ...decode, ...input } })
  const pointsOf = async (input: object): Promise<Point[]> => {
    const points = at(await ask(input), 'trend.points')
    return Array.isArray(points) ? points : []
  }

  it('has a point for each run of the newest run’s machine, oldest first, and counts the others', async () => {
    const answer = await ask({})
    expect((await pointsOf({})).map(({ runId }) => runId)).toEqual([...stored, newest])
    expect(at(answer, 'trend')).toMatchObject({ excluded: 1, unit: 'ms' })
  })

  it('shows the median of a run with its interval', async () => {
    const [first] = await pointsOf({})
    const summary = await api.request(
      'query ($id: ID!) { run(id: $id) { queuedAt ... on BenchmarkRun { keyFigure { summary { median interval { low high level } } } } } }',
      { id: stored[0] },
    )
    expect({ median: first?.value, interval: first?.interval }).toEqual(at(summary, 'run.keyFigure.summary'))
    expect(first?.at).toBe(at(summary, 'run.queuedAt'))
  })

  it('computes median and interval of a run that was stored without', async () => {
    const before = await pointsOf({})
    await db.series.updateMany({ data: { median: null, intervalLow: null, intervalHigh: null } })
    expect(await pointsOf({})).toEqual(before)
  })

  it('names the first run of a new level, and by how much it differs', async () => {
    const answer = await ask({})
    expect(at(answer, 'trend.changes')).toMatchObject([{ after: { runId: stored[14] } }])
    expect(Number(at(answer, 'trend.changes.0.ratio'))).toBeCloseTo(1.25, 1)
    expect(Number(at(answer, 'trend.changes.0.interval.low'))).toBeGreaterThan(1.2)
  })

  it('turns times into rates, their intervals with them', async () => {
    const [time, rate] = [(await pointsOf({}))[3], (await pointsOf({ metric: 'TOKENS_PER_SECOND' }))[3]]
    if (!time?.interval || !rate?.interval) throw new Error('a point has no interval')
    expect(rate.value).toBeCloseTo(8000 / time.value, 9)
    expect([rate.interval.low, rate.interval.high]).toEqual([8000 / time.interval.high, 8000 / time.interval.low])
    expect(textAt(await ask({ metric: 'TOKENS_PER_SECOND' }), 'trend.unit')).toBe('tokens/s')
  })

  it('shows bytes without intervals, of the runs that measured them', async () => {
    const points = await pointsOf({ metric: 'PEAK_MEMORY_BYTES' })
    expect(points).toHaveLength(25)
    for (const { value, interval } of points) expect([value, interval]).toEqual([5_000_000_000, null])
    expect(await pointsOf({ metric: 'KV_CACHE_BYTES', phase: 'LOAD', test: null })).toEqual([])
    expect(await pointsOf({ phase: 'LOAD', test: null })).toHaveLength(25)
  })

  it('takes the newest so many of what a filter lets pass', async () => {
    expect((await pointsOf({ limit: 3 })).map(({ runId }) => runId)).toEqual([stored[23], newest])
    const there = await ask({ filter: { hostname: 'elsewhere' } })
    expect(at(there, 'trend')).toMatchObject({ points: [{ value: 500, interval: null }], excluded: 0, changes: [] })
    expect(await pointsOf({ filter: { labels: [{ key: 'suite', value: 'other' }] } })).toEqual([])
    expect(await pointsOf({ filter: { kind: 'WEIGHT_SLICES' } })).toEqual([])
    expect(await pointsOf({ subject: 'nobody' })).toEqual([])
  })

  it.each([
    ['threads', { threads: 7 }],
    ['the dtype', { dtype: 'BF16' }],
    ['the runtime', { runtime: 'TRANSFORMERS_JS' }],
  ] as const)('leaves out a run where %s of the subject differs', async (_what, change) => {
    const place = { runId_index: { runId: stored[2] ?? '', index: 0 } }
    const before = await db.subject.findUniqueOrThrow({
      where: place,
      select: { threads: true, dtype: true, runtime: true },
    })
    await db.subject.update({ where: place, data: change })
    const answer = await ask({})
    expect(at(answer, 'trend.excluded')).toBe(2)
    expect((await pointsOf({})).some(({ runId }) => runId === stored[2])).toBe(false)
    await db.subject.update({ where: place, data: before })
  })

  it('reads any number of runs in one statement', async () => {
    for (const limit of [2, 500]) {
      const { statements } = await countStatements(() => readTrend(db, { ...decode, limit }))
      expect(statements).toHaveLength(1)
    }
  })

  it('gives the address of a picture of the same', async () => {
    const filter = { labels: [{ key: 'suite', value: 'a&b' }] }
    const address = new URL(textAt(await ask({ limit: 50, filter, metric: 'TIME' }), 'trend.chartUrl'), 'http://x')
    expect(address.pathname).toBe('/trends/chart.svg')
    expect(Object.fromEntries(address.searchParams)).toEqual({
      subject: 'kv12',
      phase: 'DECODE',
      test: 'tg8 @ d128',
      metric: 'TIME',
      limit: '50',
      filter: JSON.stringify(filter),
    })
  })

  it.each([
    [{ limit: 0 }, 'VALIDATION_FAILED'],
    [{ limit: mostTrendRuns + 1 }, 'LIMIT_EXCEEDED'],
    [{ phase: 'LOAD', metric: 'TOKENS_PER_SECOND' }, 'VALIDATION_FAILED'],
    [{ subject: 'a\0' }, 'VALIDATION_FAILED'],
  ])('refuses %j with %s', async (input, code) => {
    expect(codeOf(await ask(input))).toBe(code)
  })
})
