import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connectDatabase } from '../../../src/db/client.ts'
import { createTestDatabase } from '../../support/test-database.ts'
import { at, codeOf, startTestApi, textAt } from './api-under-test.ts'
import { environment, storeFailedRun, storeFinishedRun, storeQueuedRun, storeWorker, take } from './stored-runs.ts'

const url = await createTestDatabase()
const db = connectDatabase(url)
const api = await startTestApi(url)
afterAll(() => db.close())

const byId = (fields: string) => `query ($id: ID!) { run(id: $id) { ${fields} } }`

describe('a run', () => {
  it('shows what was measured, by the latest attempt', async () => {
    const id = await storeFinishedRun(db)
    const answer = await api.request(
      byId(`id kind status fraction attempt workerId queuePosition error { code } environment { ${Object.keys(environment).join(' ')} }
        ... on BenchmarkRun {
          warnings { code message advice }
          keyFigure { phase test subject { name } }
          series { runId phase test promptTokens generatedTokens depth batch samples
            subject { index name dtype fingerprint threads } kvCacheBytes kvCacheBytesPredicted kvCacheBytesAllocated
            peakMemoryBytes summary { count median mean standardDeviation minimum maximum interval { low high level } }
            tokensPerSecond { median maximum } warnings { code } }
        }`),
      { id },
    )
    expect(answer.errors).toBeUndefined()
    expect(at(answer, 'run')).toMatchObject({
      id,
      status: 'SUCCEEDED',
      fraction: 1,
      attempt: 1,
      queuePosition: null,
      error: null,
      environment,
      warnings: [{ code: 'BUSY', message: 'the machine was busy', advice: 'run it alone' }],
      keyFigure: { phase: 'DECODE', test: 'tg8 @ d128', subject: { name: 'kv12' } },
    })
    expect(at(answer, 'run.series')).toMatchObject([
      {
        phase: 'LOAD',
        test: null,
        tokensPerSecond: null,
        kvCacheBytes: null,
        summary: { count: 1, standardDeviation: null, interval: null },
      },
      {
        runId: id,
        phase: 'DECODE',
        test: 'tg8 @ d128',
        samples: [10, 11, 10, 11, 10, 11],
        subject: { index: 0, name: 'kv12', dtype: 'F32', fingerprint: 'f0', threads: 2 },
        kvCacheBytes: 1_000_000,
        peakMemoryBytes: 5_000_000_000,
        summary: { count: 6, median: 10.5, mean: 10.5, minimum: 10, maximum: 11, interval: { level: 0.95 } },
        tokensPerSecond: { maximum: 800 },
      },
      { phase: 'LOAD' },
      { phase: 'DECODE', subject: { name: 'kv4' }, summary: { median: 5 } },
    ])
  })

  it('compares its subjects with the one asked for', async () => {
    const id = await storeFinishedRun(db)
    const query = byId(`... on BenchmarkRun { comparison(baseline: 1) { candidateId phase test ratio verdict reasons
      baseline { subject { name } } candidate { subject { name } } interval { low high level } } }`)
    const answer = await api.request(query, { id })
    expect(at(answer, 'run.comparison')).toMatchObject([
      { candidateId: id, phase: 'LOAD', test: null, ratio: 1, interval: null, verdict: 'INCONCLUSIVE' },
      {
        phase: 'DECODE',
        // of block ratios, the geometric mean of the two in the middle
        ratio: expect.closeTo(Math.sqrt(2 * 2.2), 10),
        verdict: 'SLOWER',
        reasons: [],
        baseline: { subject: { name: 'kv4' } },
        candidate: { subject: { name: 'kv12' } },
      },
    ])
    expect(codeOf(await api.request(query.replace('baseline: 1', 'baseline: 2'), { id }))).toBe('VALIDATION_FAILED')
    const verdictAt = async (margin: number) => {
      const asked = byId(`... on BenchmarkRun { comparison(baseline: 1, margin: ${margin}) { verdict } }`)
      return at(await api.request(asked, { id }), 'run.comparison.1.verdict')
    }
    expect(await verdictAt(0.02)).toBe('SLOWER')
    expect(await verdictAt(0.99)).toBe('SLOWER')
    const forwards = byId('... on BenchmarkRun { comparison(baseline: 0, margin: 0.6) { verdict } }')
    expect(at(await api.request(forwards, { id }), 'run.comparison.1.verdict')).toBe('NO_DIFFERENCE')
    const wrong = byId('... on BenchmarkRun { comparison(margin: 1.5) { verdict } }')
    expect(codeOf(await api.request(wrong, { id }))).toBe('VALIDATION_FAILED')
  })

  it('shows its place in the queue, and why it failed', async () => {
    const failed = await storeFailedRun(db)
    const error = {
      code: 'OUT_OF_MEMORY',
      message: 'too little memory',
      hint: 'use a smaller model',
      log: 'last words',
    }
    const fields = byId('status queuePosition error { code message hint log }')
    expect(at(await api.request(fields, { id: failed }), 'run')).toEqual({
      status: 'FAILED',
      queuePosition: null,
      error,
    })
    const [first, second] = [await storeQueuedRun(db), await storeQueuedRun(db)]
    expect(at(await api.request(fields, { id: first }), 'run.queuePosition')).toBe(1)
    expect(at(await api.request(fields, { id: second }), 'run.queuePosition')).toBe(2)
  })

  it('gives its events by the piece', async () => {
    const id = await storeFinishedRun(db)
    const seqs = async (args: string) => at(await api.request(byId(`events${args} { seq }`), { id }), 'run.events')
    expect(await seqs('')).toEqual([{ seq: 1 }, { seq: 2 }, { seq: 3 }])
    expect(await seqs('(after: 1, first: 1)')).toEqual([{ seq: 2 }])
    expect(codeOf(await api.request(byId('events(first: 101) { seq }'), { id }))).toBe('LIMIT_EXCEEDED')
    expect(codeOf(await api.request(byId('events(first: 0) { seq }'), { id }))).toBe('VALIDATION_FAILED')
  })

  it('is null where nothing has the id, as node is', async () => {
    for (const id of ['00000000-0000-4000-8000-000000000000', 'no-id', '']) {
      const answer = await api.request('query ($id: ID!) { run(id: $id) { id } node(id: $id) { id } }', { id })
      expect(answer.errors).toBeUndefined()
      expect(answer.data).toEqual({ run: null, node: null })
    }
  })

  it('is a node', async () => {
    const id = await storeQueuedRun(db)
    const answer = await api.request('query ($id: ID!) { node(id: $id) { __typename id ... on Run { status } } }', {
      id,
    })
    expect(answer.data).toEqual({ node: { __typename: 'BenchmarkRun', id, status: 'QUEUED' } })
  })
})

describe('a list of runs', async () => {
  const listUrl = await createTestDatabase()
  const listed = await startTestApi(listUrl)
  const ids: string[] = []
  beforeAll(async () => {
    const own = connectDatabase(listUrl)
    for (let count = 0; count < 5; count += 1) ids.push(await storeFinishedRun(own))
    ids.push(await storeQueuedRun(own, [1]))
    await own.close()
  })

  const page = async (args: string) => {
    const pageInfo = 'pageInfo { hasNextPage hasPreviousPage startCursor endCursor }'
    const answer = await listed.request(
      `{ runs(${args}) { nodes { id } edges { cursor node { id } } ${pageInfo} totalCount } }`,
    )
    expect(answer.errors).toBeUndefined()
    const nodes = at(answer, 'runs.nodes')
    return { answer, ids: Array.isArray(nodes) ? nodes.map(({ id }) => String(id)) : [] }
  }

  it('pages forwards and backwards through all, newest first', async () => {
    const newest = [...ids].reverse()
    const first = await page('first: 4')
    expect(first.ids).toEqual(newest.slice(0, 4))
    expect(at(first.answer, 'runs.pageInfo')).toMatchObject({ hasNextPage: true, hasPreviousPage: false })
    expect(at(first.answer, 'runs.totalCount')).toBe(6)
    const second = await page(`first: 4, after: "${textAt(first.answer, 'runs.pageInfo.endCursor')}"`)
    expect(second.ids).toEqual(newest.slice(4))
    expect(at(second.answer, 'runs.pageInfo')).toMatchObject({ hasNextPage: false, hasPreviousPage: true })
    const back = await page(`last: 2, before: "${textAt(second.answer, 'runs.pageInfo.startCursor')}"`)
    expect(back.ids).toEqual(newest.slice(2, 4))
  })

  it('is filtered and ordered', async () => {
    expect((await page('filter: { status: [QUEUED] }')).ids).toEqual(ids.slice(5))
    expect((await page('filter: { attentionKind: MQA, kvHeads: 1 }')).ids).toEqual(ids.slice(5))
    expect((await page('filter: { labels: [{ key: "suite", value: "api" }] }, orderBy: OLDEST')).ids).toEqual(ids)
    expect((await page('filter: { hostname: "elsewhere" }')).ids).toEqual([])
    expect((await page('filter: { text: "KV1" }, orderBy: OLDEST')).ids).toEqual(ids)
    expect((await page('orderBy: FASTEST')).ids.at(-1)).toBe(ids[5])
    expect((await page('filter: { queuedBefore: "2020-01-01T00:00:00Z" }')).ids).toEqual([])
  })

  it.each([
    ['first: 101', 'LIMIT_EXCEEDED'],
    ['last: 101', 'LIMIT_EXCEEDED'],
    ['first: 0', 'VALIDATION_FAILED'],
    ['first: -1', 'VALIDATION_FAILED'],
    ['first: 1, last: 1', 'VALIDATION_FAILED'],
    ['after: "nonsense"', 'VALIDATION_FAILED'],
  ])('refuses %s', async (args, code) => {
    expect(codeOf(await listed.request(`{ runs(${args}) { totalCount } }`))).toBe(code)
  })
})

describe('workers', () => {
  it('are those that live, with what they are at', async () => {
    const idle = await storeWorker(db, 'idle-machine')
    const busy = await storeWorker(db, 'busy-machine')
    const runId = await storeQueuedRun(db)
    await take(db, runId, busy)
    const answer = await api.request(
      '{ workers { id hostname devices busyWith { id } } health { ok liveWorkers version } }',
    )
    expect(at(answer, 'workers')).toEqual(
      expect.arrayContaining([
        { id: idle, hostname: 'idle-machine', devices: ['CPU'], busyWith: null },
        { id: busy, hostname: 'busy-machine', devices: ['CPU'], busyWith: { id: runId } },
      ]),
    )
    expect(at(answer, 'health')).toMatchObject({ ok: true, version: '0.1.0' })
  })
})
