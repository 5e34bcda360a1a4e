import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connectDatabase } from '../../../src/db/client.ts'
import { insertHeadRows } from '../../../src/db/head-rows.ts'
import type { Guard } from '../../../src/db/rows.ts'
import { handBackRun, takeRun } from '../../../src/db/runs.ts'
import { encodeSliceCursor } from '../../../src/db/slice-cursor.ts'
import {
  countSlices,
  findHeadSharing,
  findMatrices,
  pageSlices,
  type SliceFilter,
} from '../../../src/db/weight-slices.ts'
import { findWeightValues, matrixKey } from '../../../src/db/weight-values.ts'
import { insertSampleRun, insertSampleWorker } from '../../support/sample-runs.ts'
import { createTestDatabase } from '../../support/test-database.ts'
import { pairedSharing, weightMatrix } from '../../support/weight-rows.ts'

const db = connectDatabase(await createTestDatabase())
afterAll(() => db.close())

const nobody = '00000000-0000-4000-8000-000000000000'

async function begin(): Promise<Guard> {
  const runId = await insertSampleRun(db, { kind: 'WEIGHT_SLICES' })
  const guard = await takeRun(db, runId, await insertSampleWorker(db), new Date(0))
  if (guard === null) throw new Error('not taken')
  return guard
}

/** Two layers of four heads: W_K in two pairs, W_Q and W_O a head. */
const stored = [1, 0].flatMap((layer) => [
  weightMatrix(layer, 'O', 0),
  weightMatrix(layer, 'K', 1, { heads: [2, 3] }),
  weightMatrix(layer, 'K', 0, { heads: [0, 1] }),
  weightMatrix(layer, 'Q', 2),
])
const all = [0, 1].flatMap((layer) => [
  `${layer}Q2`,
  `${layer}K0`,
  `${layer}K1`,
  `${layer}K2`,
  `${layer}K3`,
  `${layer}O0`,
])

let run: Guard
let empty: string
beforeAll(async () => {
  run = await begin()
  await insertHeadRows(db, run, { of: 'weightMatrices', rows: stored })
  await insertHeadRows(db, run, { of: 'headSharing', rows: [pairedSharing(0, 'K')] })
  empty = await insertSampleRun(db, { kind: 'WEIGHT_SLICES' })
})

const named = ({ layer, projection, head }: { layer: number; projection: string; head: number }) =>
  `${layer}${projection}${head}`

async function page(first: number, after: string | null, filter: SliceFilter = {}) {
  const found = (await pageSlices(db, [run.runId], { first, after, ...filter })).get(run.runId)
  if (found === undefined) throw new Error('no page')
  return { ...found, names: found.edges.map(({ node }) => named(node)) }
}

describe('pages of weight slices', () => {
  it('have a slice for each head that reads a matrix, by layer, projection and head', async () => {
    const { names, edges, hasNextPage, hasPreviousPage } = await page(100, null)
    expect(names).toEqual(all)
    expect({ hasNextPage, hasPreviousPage }).toEqual({ hasNextPage: false, hasPreviousPage: false })
    expect(edges[3]?.node).toMatchObject({
      ...{ runId: run.runId, attempt: 1, layer: 0, projection: 'K', matrix: 1, head: 2, rows: 2, columns: 3 },
      ...{ tensor: 'h.0.attn.c_attn.weight', tensorShape: [8, 24], tensorRows: [0, 1], tensorColumns: [8, 9, 10] },
      ...{ transposed: false, dtype: 'F32', standardDeviation: 1 },
    })
    expect(edges[3]?.node).not.toHaveProperty('values')
  })

  it.each([1, 2, 5, 12])('of %i, one after the other, are the whole list', async (size) => {
    const seen: string[] = []
    let after: string | null = null
    for (let turn = 0; turn < 20; turn += 1) {
      const next = await page(size, after)
      expect(next.hasPreviousPage).toBe(after !== null)
      seen.push(...next.names)
      after = next.edges.at(-1)?.cursor ?? null
      expect(next.hasNextPage).toBe(seen.length < all.length)
      if (!next.hasNextPage) break
    }
    expect(seen).toEqual(all)
  })

  it.each<[string, SliceFilter, string[]]>([
    ['a layer', { layer: 1 }, all.slice(6)],
    ['a projection', { projection: 'O' }, ['0O0', '1O0']],
    ['heads', { heads: [3, 1] }, ['0K1', '0K3', '1K1', '1K3']],
    ['no heads', { heads: [] }, []],
    ['all of these', { layer: 0, projection: 'K', heads: [0, 2, 9] }, ['0K0', '0K2']],
    ['what is not there', { layer: 7 }, []],
  ])('can be of %s only, and be counted', async (_what, filter, expected) => {
    expect((await page(100, null, filter)).names).toEqual(expected)
    expect((await countSlices(db, [run.runId], filter)).get(run.runId) ?? 0).toBe(expected.length)
  })

  it('know what lies before a cursor under the filter, also where nothing has its very place', async () => {
    const from = (layer: number, head: number) => encodeSliceCursor({ layer, projection: 'K', head })
    expect(await page(9, from(0, 1), { projection: 'O' })).toMatchObject({
      names: ['0O0', '1O0'],
      hasPreviousPage: false,
    })
    expect(await page(1, from(0, 1), { projection: 'K' })).toMatchObject({ names: ['0K2'], hasPreviousPage: true })
    expect(await page(1, from(9, 9))).toMatchObject({ names: [], hasNextPage: false, hasPreviousPage: true })
  })

  it('are read of many runs at once; one without slices has an empty page, and what is no run has none', async () => {
    const found = await pageSlices(db, [run.runId, empty, nobody, 'no id'], { first: 2 })
    expect([...found.keys()].sort()).toEqual([run.runId, empty].sort())
    expect(found.get(empty)).toEqual({ edges: [], hasNextPage: false, hasPreviousPage: false })
    expect(found.get(run.runId)?.edges).toHaveLength(2)
  })

  it.each(['', 'x', Buffer.from('[0,"K"]').toString('base64url'), Buffer.from('[0,"G",1]').toString('base64url')])(
    'refuse the cursor %j',
    async (cursor) => {
      await expect(page(1, cursor)).rejects.toMatchObject({ code: 'VALIDATION_FAILED' })
    },
  )
})

describe('matrices, values and sharing', () => {
  it('are those of the latest attempt', async () => {
    const guard = await begin()
    await insertHeadRows(db, guard, { of: 'weightMatrices', rows: [weightMatrix(0, 'K', 0), weightMatrix(0, 'K', 1)] })
    await insertHeadRows(db, guard, { of: 'headSharing', rows: [pairedSharing(0, 'K')] })
    await handBackRun(db, guard)
    const next = await takeRun(db, guard.runId, await insertSampleWorker(db), new Date(0))
    if (next === null) throw new Error('not taken')
    const ids = [guard.runId]
    expect((await pageSlices(db, ids, { first: 9 })).get(guard.runId)?.edges).toEqual([])
    expect((await countSlices(db, ids, {})).get(guard.runId)).toBeUndefined()
    expect((await findMatrices(db, ids)).get(guard.runId)).toEqual([])
    expect(await findHeadSharing(db, ids, 0, 'K')).toEqual(new Map())
    await insertHeadRows(db, next, { of: 'weightMatrices', rows: [weightMatrix(0, 'K', 1)] })
    expect((await findMatrices(db, ids)).get(guard.runId)).toMatchObject([{ attempt: 2, matrix: 1, heads: [1] }])
  })

  it('come back as they were sent', async () => {
    const matrices = (await findMatrices(db, [run.runId, empty], { layer: 0 })).get(run.runId) ?? []
    expect(matrices.map(({ projection, matrix, heads }) => ({ projection, matrix, heads }))).toEqual([
      { projection: 'Q', matrix: 2, heads: [2] },
      { projection: 'K', matrix: 0, heads: [0, 1] },
      { projection: 'K', matrix: 1, heads: [2, 3] },
      { projection: 'O', matrix: 0, heads: [0] },
    ])
    const missing = { ...run, layer: 5, projection: 'K' as const, matrix: 0 }
    const values = await findWeightValues(db, [...matrices, missing, { ...missing, runId: 'no id' }])
    expect(values.size).toBe(4)
    for (const matrix of matrices) {
      const sent = stored.find((row) =>
        ['layer', 'projection', 'matrix'].every((key) => Reflect.get(row, key) === Reflect.get(matrix, key)),
      )
      expect(values.get(matrixKey(matrix))).toEqual(new Float32Array(sent?.values.buffer ?? new ArrayBuffer(0)))
    }
    expect((await findHeadSharing(db, [run.runId, empty], 0, 'K')).get(run.runId)).toEqual(pairedSharing(0, 'K'))
    expect(await findHeadSharing(db, [run.runId], 1, 'K')).toEqual(new Map())
  })
})
