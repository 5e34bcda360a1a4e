import { afterAll, describe, expect, it } from 'vitest'
import { connectDatabase } from '../../../src/db/client.ts'
import { findWeightValues } from '../../../src/db/weight-values.ts'
import { createTestDatabase } from '../../support/test-database.ts'
import { startTestApi, textAt } from './api-under-test.ts'
import { codesOf, rawRequest } from './raw-http.ts'
import { storeAttentionRun } from './stored-attention.ts'
import { storeSlicedRun } from './stored-slices.ts'

const url = await createTestDatabase()
const db = connectDatabase(url)
const api = await startTestApi(url)
const gqa = await storeSlicedRun(db, { kvHeads: 4, rows: 20, columns: 16, projections: ['K', 'V', 'O'] })
const other = await storeSlicedRun(db, { kvHeads: 4, rows: 20, columns: 16, seed: 2 })
const mqa = await storeSlicedRun(db, { kvHeads: 1, rows: 20, columns: 16 })
afterAll(() => db.close())

const get = (path: string, headers: Record<string, string> = {}) =>
  rawRequest(api.port, { path, headers: { host: `127.0.0.1:${api.port}`, ...headers } })
const of = (path: string, id = gqa) => `/runs/${id}/weights/${path}`
const svg = async (path: string) => {
  const answer = await get(path)
  expect([answer.status, answer.headers['content-type']]).toEqual([200, 'image/svg+xml; charset=utf-8'])
  return answer.body.toString()
}

describe('weight slices as files', () => {
  it('are NumPy files of float32, the same for heads that share a matrix', async () => {
    const [first, second, third] = await Promise.all([0, 2, 3].map((head) => get(of(`0/K/${head}.npy?attempt=1`))))
    const key = { runId: gqa, attempt: 1, layer: 0, projection: 'K', matrix: 0 } as const
    const [stored] = (await findWeightValues(db, [key])).values()
    const start = 10 + (first?.body.readUInt16LE(8) ?? 0)
    expect(first?.body.toString('latin1', 10, start)).toMatch(
      /'descr': '<f4', 'fortran_order': False, 'shape': \(20, 16\)/,
    )
    expect(new Float32Array(new Uint8Array(first?.body.subarray(start) ?? []).buffer)).toEqual(stored)
    expect(second?.body).toEqual(first?.body)
    expect(third?.body).not.toEqual(first?.body)
    expect(first?.headers['cache-control']).toContain('immutable')
  })

  it('are drawn once under the heads that read them, or once a head', async () => {
    const [shared, each] = [await svg(of('0/K/grid.svg?attempt=1', mqa)), await svg(of('0/K/grid.svg?view=heads', mqa))]
    expect(shared).toContain('all 12 query heads share one K and one V')
    expect(shared.length).toBeLessThan(each.length / 4)
    expect(await svg(of('0/K/grid.svg?view=groups', mqa))).toBe(shared)
    expect(await svg(of('0/O/grid.svg'))).toContain('W_O')
  })

  it('are drawn by the head, with the tensor they come from', async () => {
    const text = await svg(of('0/V/5.svg'))
    expect(text).toContain('W_V of kv4, layer 0, head 5 (K/V head 1)')
    expect(text).toContain('SYNTHETIC WEIGHTS')
    expect(text).toContain('h.0.attn.c_attn.weight')
    const png = await get(of('0/V/5.png?theme=dark'))
    expect([png.headers['content-type'], png.body.subarray(1, 4).toString()]).toEqual(['image/png', 'PNG'])
  })

  it('are drawn beside those of another run, which nobody may keep', async () => {
    const path = of(`0/K/7/difference.svg?baseline=${other.toUpperCase()}`)
    expect(await svg(path)).toContain('difference, candidate - baseline')
    expect((await get(path)).headers['cache-control']).toBe('no-store')
    expect((await get(of(`0/K/7/difference.png?baseline=${other}&scale=2`))).headers['content-type']).toBe('image/png')
  })

  it('stand where GraphQL says', async () => {
    const answer = await api.request(
      `query ($id: ID!) { run(id: $id) { ... on WeightSlicesRun { gridUrl(layer: 0, projection: K)
        slices(first: 1, projection: K) { nodes { imageUrl arrayUrl } } } } }`,
      { id: gqa },
    )
    for (const path of ['gridUrl', 'slices.nodes.0.imageUrl', 'slices.nodes.0.arrayUrl']) {
      expect((await get(textAt(answer, `run.${path}`))).status, path).toBe(200)
    }
  })
})

describe('an address of weights is refused', async () => {
  const small = await storeSlicedRun(db, { kvHeads: 4, rows: 5, columns: 16 })
  const attention = await storeAttentionRun(db, { prompts: [], layers: [], diversity: false })
  const large = await storeSlicedRun(db, { kvHeads: 12, rows: 800, columns: 500 })
  const nobody = '00000000-0000-4000-8000-000000000000'

  it.each([
    [of('0/K/12.npy'), 404, 'NOT_FOUND'],
    [of('1/K/grid.svg'), 404, 'NOT_FOUND'],
    [of('0/Q/grid.svg'), 404, 'NOT_FOUND'],
    [of('0/k/grid.svg'), 404, 'NOT_FOUND'],
    [of('0/K/0.npy?attempt=3'), 404, 'NOT_FOUND'],
    [of('0/K/0.npy?theme=dark'), 400, 'VALIDATION_FAILED'],
    [of('0/K/grid.svg?view=all'), 400, 'VALIDATION_FAILED'],
    [of('0/K/0/difference.svg'), 400, 'VALIDATION_FAILED'],
    [of('0/K/0/difference.svg?baseline=x'), 404, 'NOT_FOUND'],
    [of(`0/K/0/difference.svg?baseline=${nobody}`), 404, 'NOT_FOUND'],
    [of(`0/K/0/difference.svg?baseline=${attention.id}`), 404, 'NOT_FOUND'],
    [of(`0/O/0/difference.svg?baseline=${mqa}`), 404, 'NOT_FOUND'],
    [of(`0/K/0/difference.svg?baseline=${small}`), 400, 'VALIDATION_FAILED'],
    [of('0/K/0.npy', attention.id), 404, 'NOT_FOUND'],
    [of('0/K/grid.png', large), 413, 'LIMIT_EXCEEDED'],
  ])('%s', async (path, status, code) => {
    const answer = await get(path)
    expect([answer.status, codesOf(answer)]).toEqual([status, [code]])
  })

  it('but one head of what is too large together is drawn', async () => {
    expect((await get(of('0/K/3.png', large))).status).toBe(200)
  })
})
