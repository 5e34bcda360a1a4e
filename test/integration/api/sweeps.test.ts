import { afterAll, describe, expect, it } from 'vitest'
import { connectDatabase } from '../../../src/db/client.ts'
import { requireRun } from '../../../src/db/runs.ts'
import { parseSpec } from '../../../src/jobs/spec.ts'
import { testName } from '../../../src/jobs/spec-names.ts'
import { createTestDatabase } from '../../support/test-database.ts'
import { tinySource } from '../../support/tiny-spec.ts'
import { at, codeOf, startTestApi, textAt } from './api-under-test.ts'
import { codesOf, rawRequest } from './raw-http.ts'
import { storeFinishedRun, storeQueuedRun } from './stored-runs.ts'
import { storeSlicedRun } from './stored-slices.ts'
import { storeDepthSweep } from './stored-sweeps.ts'

const url = await createTestDatabase()
const db = connectDatabase(url)
const api = await startTestApi(url)
const depths = [0, 128, 512, 896]
const deep = await storeDepthSweep(
  db,
  [
    { kvHeads: 12, fixed: 20, slope: 0.012 },
    { kvHeads: 1, fixed: 19, slope: 0.001 },
  ],
  depths,
)
const heads = await storeFinishedRun(db, {
  kvHeads: [12, 4, 1],
  decode: [
    [112, 112, 113, 112, 111, 112],
    [104, 104, 105, 104, 103, 104],
    [101, 101, 102, 101, 100, 101],
  ],
})
const plain = await storeFinishedRun(db)
afterAll(() => db.close())

const get = (path: string, headers: Record<string, string> = {}) =>
  rawRequest(api.port, { path, headers: { host: `127.0.0.1:${api.port}`, ...headers } })
const svg = async (path: string) => {
  const answer = await get(path)
  expect([answer.status, answer.headers['content-type']]).toEqual([200, 'image/svg+xml; charset=utf-8'])
  return answer.body.toString()
}

const query = `query ($id: ID!) { run(id: $id) { ... on BenchmarkRun { chartUrl
  fits { subject { name } phase test axis unit fixed { value interval { low high level } } slope { value interval { low high } } } } } }`
const fitsOf = (id: string) => api.request(query, { id })

describe('a benchmark whose series lie along one axis', () => {
  it('has the fixed cost and the slope of each subject, with intervals', async () => {
    const answer = await fitsOf(deep)
    expect(at(answer, 'run.fits')).toMatchObject([
      {
        subject: { name: 'kv12' },
        phase: 'DECODE',
        test: 'tg8 @ d*',
        axis: 'cached tokens',
        unit: 'ms per cached token',
      },
      { subject: { name: 'kv1' }, phase: 'DECODE', test: 'tg8 @ d*' },
    ])
    expect(at(answer, 'run.fits.0.slope.value')).toBeCloseTo(0.012, 9)
    expect(at(answer, 'run.fits.0.fixed.value')).toBeCloseTo(20, 6)
    expect(at(answer, 'run.fits.1.slope.value')).toBeCloseTo(0.001, 9)
    expect(at(answer, 'run.fits.0.fixed.interval.level')).toBe(0.95)
    expect(at(answer, 'run.fits.0.slope.interval.low')).toBeLessThan(0.012)
    expect(at(answer, 'run.fits.0.slope.interval.high')).toBeGreaterThan(0.012)
  })

  it('may be one of subjects: its fit is of the test, and names the first of them', async () => {
    const answer = await fitsOf(heads)
    expect(at(answer, 'run.fits')).toMatchObject([
      { subject: { name: 'kv12' }, test: 'tg8 @ d128', axis: 'K/V heads', unit: 'ms per K/V head' },
    ])
    expect(at(answer, 'run.fits.0.slope.value')).toBeCloseTo(1 / 8, 6)
    expect(at(answer, 'run.fits.0.fixed.value')).toBeCloseTo(100 / 8, 6)
  })

  it('has no fit where the points bend, and its picture says so', async () => {
    const bent = await storeDepthSweep(db, [{ kvHeads: 1, fixed: 1, slope: 0, bend: 0.0001 }], depths)
    expect(at(await fitsOf(bent), 'run.fits')).toEqual([])
    expect(await svg(`/runs/${bent}/chart.svg`)).toContain('Where points bend from a line beyond noise, none is drawn.')
  })

  it('is none with two points or without series', async () => {
    for (const id of [plain, await storeQueuedRun(db)]) {
      expect(at(await fitsOf(id), 'run')).toEqual({ chartUrl: null, fits: [] })
      const answer = await get(`/runs/${id}/chart.svg`)
      expect([answer.status, codesOf(answer)]).toEqual([404, ['NOT_FOUND']])
    }
  })
})

describe('the picture of a sweep', () => {
  it('stands where GraphQL says, may be kept, and shows kinds, slopes, machine and weights', async () => {
    const address = textAt(await fitsOf(deep), 'run.chartUrl')
    expect(address).toBe(`/runs/${deep}/chart.svg?attempt=1`)
    const drawn = await svg(address)
    for (const text of [
      'Time of one token by depth: decode tg8 @ d*',
      'kv12 (MHA, 12 K/V heads)',
      'kv1 (MQA, 1 K/V head)',
      '+ 12.0 µs per cached token',
      'Test CPU (quiet), CPU, 2 threads',
      'SYNTHETIC WEIGHTS',
    ]) {
      expect(drawn).toContain(text)
    }
    const answer = await get(address)
    expect(answer.headers['cache-control']).toContain('immutable')
    expect((await get(address, { 'if-none-match': String(answer.headers.etag) })).status).toBe(304)
    expect((await get(`/runs/${deep}/chart.svg`)).headers['cache-control']).toBe('no-store')
  })

  it('is drawn as PNG, dark, of K/V heads too', async () => {
    const png = await get(`/runs/${heads}/chart.png?theme=dark&scale=2`)
    expect([png.headers['content-type'], png.body.subarray(1, 4).toString()]).toEqual(['image/png', 'PNG'])
    expect(await svg(`/runs/${heads}/chart.svg?phase=DECODE`)).toContain('gpt2')
  })

  it.each([
    ['chart.svg?phase=PREFILL', 404, 'NOT_FOUND'],
    ['chart.svg?phase=decode', 400, 'VALIDATION_FAILED'],
    ['chart.svg?attempt=2', 404, 'NOT_FOUND'],
    ['chart.svg?view=all', 400, 'VALIDATION_FAILED'],
    ['chart.gif', 404, 'NOT_FOUND'],
  ])('is refused at %s', async (path, status, code) => {
    const answer = await get(`/runs/${deep}/${path}`)
    expect([answer.status, codesOf(answer)]).toEqual([status, [code]])
  })

  it('is not there of runs of other kinds', async () => {
    const slices = await storeSlicedRun(db, { kvHeads: 4, rows: 5, columns: 16 })
    expect((await get(`/runs/${slices}/chart.svg`)).status).toBe(404)
  })
})

describe('the picture of a trend', () => {
  it('stands where GraphQL says, and nobody may keep it', async () => {
    const trend = `query ($input: TrendInput!) { trend(input: $input) { points { runId } chartUrl } }`
    const input = {
      subject: 'kv12',
      phase: 'DECODE',
      test: 'tg8 @ d128',
      filter: { labels: [{ key: 'suite', value: 'api' }], queuedAfter: '2020-01-01T00:00:00Z' },
    }
    const answer = await api.request(trend, { input })
    const address = textAt(answer, 'trend.chartUrl')
    const drawn = await svg(address)
    expect(drawn).toContain('kv12 (MHA): decode tg8 @ d128')
    expect(drawn).toContain('SYNTHETIC WEIGHTS')
    const points = at(answer, 'trend.points')
    expect(drawn.match(/<circle /g)).toHaveLength(Array.isArray(points) ? points.length : 0)
    expect((await get(address)).headers['cache-control']).toBe('no-store')
    const png = await get(address.replace('.svg', '.png').replace('metric=TIME', 'metric=PEAK_MEMORY_BYTES&theme=dark'))
    expect([png.status, png.headers['content-type']]).toEqual([200, 'image/png'])
  })

  it('needs a token where tokens are asked for, as a header or as the cookie', async () => {
    const guarded = await startTestApi(url, { KVSCOPE_TOKENS: 'ann:only-hers-and-long' })
    const status = async (headers: Record<string, string>) => {
      const path = '/trends/chart.svg?subject=kv12&phase=DECODE'
      return (await rawRequest(guarded.port, { path, headers: { host: `127.0.0.1:${guarded.port}`, ...headers } }))
        .status
    }
    expect(await status({})).toBe(401)
    expect(await status({ cookie: 'kvscope_token=wrong' })).toBe(401)
    expect(await status({ cookie: 'kvscope_token=only-hers-and-long' })).toBe(200)
    expect(await status({ authorization: 'Bearer only-hers-and-long' })).toBe(200)
  })

  it('is drawn empty where nothing measured it', async () => {
    expect(await svg('/trends/chart.svg?subject=nobody&phase=DECODE')).toContain('No run has measured it.')
  })

  it.each([
    ['/trends/chart.svg', 400, 'VALIDATION_FAILED'],
    ['/trends/chart.svg?subject=a&phase=x', 400, 'VALIDATION_FAILED'],
    ['/trends/chart.svg?subject=a&subject=b&phase=DECODE', 400, 'VALIDATION_FAILED'],
    ['/trends/chart.svg?subject=a&phase=DECODE&limit=0', 400, 'VALIDATION_FAILED'],
    ['/trends/chart.svg?subject=a&phase=DECODE&limit=2001', 413, 'LIMIT_EXCEEDED'],
    ['/trends/chart.svg?subject=a&phase=DECODE&filter=%7B', 400, 'VALIDATION_FAILED'],
    ['/trends/chart.svg?subject=a&phase=DECODE&filter=%7B%22kind%22%3A1%7D', 400, 'VALIDATION_FAILED'],
    ['/trends/chart.svg?subject=a&phase=DECODE&filter=%5B%5D', 400, 'VALIDATION_FAILED'],
    ['/trends/chart.svg?subject=a%00&phase=DECODE', 400, 'VALIDATION_FAILED'],
    ['/trends/chart.svg?subject=a&phase=DECODE&attempt=1', 400, 'VALIDATION_FAILED'],
    ['/trends/chart.gif?subject=a&phase=DECODE', 404, 'NOT_FOUND'],
    ['/trends', 404, 'NOT_FOUND'],
  ])('is refused at %s', async (path, status, code) => {
    const answer = await get(path)
    expect([answer.status, codesOf(answer)]).toEqual([status, [code]])
  })

  it('is kept from other hosts, from pages of other sites, and from those without a token', async () => {
    const path = '/trends/chart.svg?subject=a&phase=DECODE'
    expect((await get(path, { host: 'evil.example' })).status).toBe(403)
    expect((await get(path, { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' })).status).toBe(403)
    const closed = await startTestApi(url, { KVSCOPE_TOKENS: 'someone:secret-that-is-long-enough-for-tokens' })
    expect((await rawRequest(closed.port, { path, headers: { host: `127.0.0.1:${closed.port}` } })).status).toBe(401)
  })
})

describe('a sweep that is started', () => {
  const start = `mutation ($input: StartBenchmarkInput!) { startBenchmark(input: $input) { run { id subjects { name } } } }`
  const source = { synthetic: { preset: 'gpt2', seed: 1, overrides: tinySource.synthetic.overrides } }

  it('is stored with a test a value, and its record', async () => {
    const input = {
      subjects: [{ source }],
      tests: [{ generatedTokens: 8 }],
      sweep: { axis: 'DEPTH', values: [0, 16, 32] },
    }
    const spec = parseSpec(
      (await requireRun(db, textAt(await api.request(start, { input }), 'startBenchmark.run.id'))).spec,
    )
    if (spec.kind !== 'BENCHMARK') return expect.unreachable()
    expect(spec.tests.map(testName)).toEqual(['tg8', 'tg8 @ d16', 'tg8 @ d32'])
    expect(spec.sweep).toEqual({ axis: 'DEPTH', values: [0, 16, 32] })
  })

  it('is stored with a subject a value', async () => {
    const input = {
      subjects: [{ source }],
      tests: [{ generatedTokens: 8 }],
      sweep: { axis: 'KV_HEADS', values: [4, 1] },
    }
    const answer = await api.request(start, { input })
    expect(at(answer, 'startBenchmark.run.subjects')).toEqual([{ name: 'gpt2' }, { name: 'gpt2-kv1' }])
  })

  it.each([
    ['K/V heads that do not divide', { axis: 'KV_HEADS', values: [4, 3] }, 'VALIDATION_FAILED'],
    ['a depth beyond the context', { axis: 'DEPTH', values: [0, 1000] }, 'CONTEXT_EXCEEDED'],
    ['a batch beyond the limit', { axis: 'BATCH', values: [1, 1000] }, 'LIMIT_EXCEEDED'],
  ])('is refused with %s', async (_, sweep, code) => {
    const input = { subjects: [{ source }], tests: [{ generatedTokens: 8 }], sweep }
    expect(codeOf(await api.request(start, { input }))).toBe(code)
  })
})
