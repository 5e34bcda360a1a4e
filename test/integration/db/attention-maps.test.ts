import { afterAll, describe, expect, it } from 'vitest'
import {
  findAttentionHeads,
  findDiversity,
  findHeadsOfLayers,
  findMapOutline,
  findOverviews,
  findPrompts,
} from '../../../src/db/attention-maps.ts'
import {
  findMapRows,
  findSmallMaps,
  findTile,
  findTiles,
  findTilesByKey,
  streamTiles,
} from '../../../src/db/attention-tiles.ts'
import { connectDatabase } from '../../../src/db/client.ts'
import { insertHeadRows } from '../../../src/db/head-rows.ts'
import { cancelRun, handBackRun, takeRun } from '../../../src/db/runs.ts'
import type { AttentionHeadRow, AttentionTileRow } from '../../../src/heads/rows.ts'
import { decodeTile } from '../../../src/render/attention-tiles.ts'
import { encodeHalves } from '../../../src/render/half-float.ts'
import { insertSampleRun, insertSampleWorker } from '../../support/sample-runs.ts'
import { createTestDatabase } from '../../support/test-database.ts'

const db = connectDatabase(await createTestDatabase())
afterAll(() => db.close())
const worker = await insertSampleWorker(db)

async function takenRun(id?: string) {
  const taken = await takeRun(db, id ?? (await insertSampleRun(db)), worker, new Date(0))
  if (taken === null) throw new Error('not taken')
  return { runId: taken.runId, attempt: taken.attempt }
}

/** A probability that says where it stands, exact in half-floats: multiples of 2^-10 below 1. */
const valueAt = (head: number, query: number, key: number) =>
  key > query ? 0 : ((head + 3 * query + 7 * key) % 1000) / 1024

function tileOf(head: number, size: number, row: number, column: number): AttentionTileRow {
  const [rows, columns] = [Math.min(256, size - 256 * row), Math.min(256, size - 256 * column)]
  const values = Float32Array.from({ length: rows * columns }, (_, cell) =>
    valueAt(head, 256 * row + Math.floor(cell / columns), 256 * column + (cell % columns)),
  )
  const data = size > 128 ? encodeHalves(values) : values
  return {
    ...{ prompt: 0, layer: 2, head, level: 0, row, column, statistic: 'MEAN', rows, columns },
    data: new Uint8Array(data.buffer),
  }
}

function headOf(head: number, size: number, layer = 2): AttentionHeadRow {
  const storedAs = size > 128 ? 'F16' : 'F32'
  const overview = Uint8Array.of(head, 1, 2, 3)
  return { prompt: 0, layer, head, kvHead: null, size, storedAs, entropy: head / 4, overviewSide: 2, overview }
}

async function storeMaps(guard: { runId: string; attempt: number }, size: number, heads = [0, 1]) {
  const side = Math.ceil(size / 256)
  for (const head of heads) {
    const places = Array.from({ length: side }, (_, row) =>
      Array.from({ length: row + 1 }, (_, column) => [row, column]),
    )
    const rows = places.flat().map(([row = 0, column = 0]) => tileOf(head, size, row, column))
    expect(await insertHeadRows(db, guard, { of: 'attentionTiles', rows })).toBe(true)
  }
  const rows = heads.map((head) => headOf(head, size))
  expect(await insertHeadRows(db, guard, { of: 'attentionHeads', rows })).toBe(true)
}

const rowOf = (head: number, query: number, size: number) =>
  Float32Array.from({ length: size }, (_, key) => valueAt(head, query, key))

describe('attention maps', () => {
  it('of more than one tile give back every row as it was', async () => {
    const guard = await takenRun()
    await storeMaps(guard, 600)
    const asked = [0, 255, 256, 511, 599].flatMap((query) => [0, 1].map((head) => ({ query, head })))
    const keys = asked.map((key) => ({ ...key, runId: guard.runId, prompt: 0, layer: 2 }))
    expect(await findMapRows(db, keys)).toEqual(asked.map(({ head, query }) => rowOf(head, query, 600)))
  })

  it('have no rows beyond their tokens, nor of heads, layers, prompts and runs that are not there', async () => {
    const { runId } = await takenRun()
    await storeMaps({ runId, attempt: 1 }, 20)
    const there = { runId, prompt: 0, layer: 2, head: 1, query: 19 }
    const rows = await findMapRows(db, [
      { ...there, query: 20 },
      { ...there, query: -1 },
      { ...there, head: 2 },
      { ...there, layer: 1 },
      { ...there, prompt: 1 },
      { ...there, runId: 'none' },
      there,
    ])
    expect(rows).toEqual([null, null, null, null, null, null, rowOf(1, 19, 20)])
  })

  it('of one tile are given whole, longer ones are not', async () => {
    const small = await takenRun()
    const half = await takenRun()
    const large = await takenRun()
    await storeMaps(small, 9)
    await storeMaps(half, 200)
    await storeMaps(large, 300)
    const keys = [small, half, large].map(({ runId }) => ({ runId, prompt: 0, layer: 2, head: 1 }))
    const whole = (size: number) =>
      Float32Array.from({ length: size * size }, (_, cell) => valueAt(1, Math.floor(cell / size), cell % size))
    expect(await findSmallMaps(db, keys)).toEqual([whole(9), whole(200), null])
  })

  it('give one tile by its key, level 0 whatever the statistic, and none above the diagonal', async () => {
    const { runId, attempt } = await takenRun()
    await storeMaps({ runId, attempt }, 300)
    const key = { runId, prompt: 0, layer: 2, head: 1, level: 0, row: 1, column: 0, statistic: 'MEAN' } as const
    const tile = await findTile(db, key)
    expect(tile).toMatchObject({ rows: 44, columns: 256, size: 300, storedAs: 'F16' })
    expect(decodeTile(tile?.data ?? new Uint8Array(), 'F16')[256 + 5]).toBe(valueAt(1, 257, 5))
    expect(await findTile(db, { ...key, statistic: 'MAXIMUM' })).toEqual(tile)
    expect(await findTile(db, { ...key, attempt })).toEqual(tile)
    expect(await findTile(db, { ...key, attempt: attempt + 1 })).toBeNull()
    const others = await findTilesByKey(db, [{ ...key, row: 0, column: 1 }, { ...key, level: 1 }, key])
    expect(others).toEqual([null, null, tile])
  })

  it('stream their tiles a row at a time, in order', async () => {
    const { runId } = await takenRun()
    await storeMaps({ runId, attempt: 1 }, 600)
    const wanted = { runId, prompt: 0, layer: 2, head: 0, level: 0 }
    const places: number[][][] = []
    for await (const tiles of streamTiles(db, wanted, 3)) places.push(tiles.map(({ row, column }) => [row, column]))
    expect(places).toEqual([
      [[0, 0]],
      [
        [1, 0],
        [1, 1],
      ],
      [
        [2, 0],
        [2, 1],
        [2, 2],
      ],
    ])
    expect((await findTiles(db, { ...wanted, rows: { first: 1, end: 3 } })).map(({ row }) => row)).toEqual([
      1, 1, 2, 2, 2,
    ])
    expect(await findTiles(db, { ...wanted, attempt: 2 })).toEqual([])
  })

  it('are outlined: which layers, heads and prompts there are', async () => {
    const { runId, attempt } = await takenRun()
    const empty = await takenRun()
    const rows = [headOf(3, 9, 5), headOf(1, 9, 2), { ...headOf(1, 12, 2), prompt: 1 }]
    await insertHeadRows(db, { runId, attempt }, { of: 'attentionHeads', rows })
    expect(await findMapOutline(db, [runId, empty.runId, 'none'])).toEqual(
      new Map([
        [
          runId,
          {
            attempt,
            layers: [2, 5],
            heads: [1, 3],
            prompts: [
              { prompt: 0, size: 9 },
              { prompt: 1, size: 12 },
            ],
          },
        ],
      ]),
    )
  })

  it('are found by layer and head, with their overviews apart', async () => {
    const { runId, attempt } = await takenRun()
    await insertHeadRows(
      db,
      { runId, attempt },
      { of: 'attentionHeads', rows: [headOf(3, 9, 5), headOf(1, 9), headOf(0, 9)] },
    )
    const { overview: _overview, overviewSide: _side, ...expected } = headOf(1, 9)
    const head = { ...expected, runId, attempt }
    expect(await findAttentionHeads(db, runId, { prompt: 0, layer: 2, heads: [1] })).toEqual([head])
    expect((await findAttentionHeads(db, runId, { prompt: 0 })).map(({ layer, head }) => [layer, head])).toEqual([
      [2, 0],
      [2, 1],
      [5, 3],
    ])
    const [none, two] = await findHeadsOfLayers(db, [
      { runId, prompt: 0, layer: 4 },
      { runId, prompt: 0, layer: 2 },
    ])
    expect(none).toEqual([])
    expect(two?.map(({ head }) => head)).toEqual([0, 1])
    const overviews = await findOverviews(db, { runId, attempt, prompt: 0, layers: [5] })
    expect(overviews).toEqual([
      { layer: 5, head: 3, kvHead: null, size: 9, side: 2, overview: Uint8Array.of(3, 1, 2, 3) },
    ])
    expect(await findOverviews(db, { runId, attempt: attempt + 1, prompt: 0 })).toEqual([])
  })

  it('come in one batch however many layers and heads a model has', async () => {
    const { runId, attempt } = await takenRun()
    const rows = Array.from({ length: 80 * 96 }, (_, index) => headOf(index % 96, 9, Math.floor(index / 96)))
    expect(await insertHeadRows(db, { runId, attempt }, { of: 'attentionHeads', rows })).toBe(true)
    const outline = (await findMapOutline(db, [runId])).get(runId)
    expect([outline?.layers.length, outline?.heads.length]).toEqual([80, 96])
    expect(await db.attentionHead.count({ where: { runId } })).toBe(rows.length)
  })

  it('that are not complete give no tile', async () => {
    const { runId, attempt } = await takenRun()
    await insertHeadRows(db, { runId, attempt }, { of: 'attentionTiles', rows: [tileOf(0, 9, 0, 0)] })
    const key = { runId, prompt: 0, layer: 2, head: 0 }
    expect(await findSmallMaps(db, [key])).toEqual([null])
    expect(await findTiles(db, { ...key, level: 0 })).toEqual([])
    expect(await findMapRows(db, [{ ...key, query: 0 }])).toEqual([null])
  })

  it('bring prompts and diversity by run, in order', async () => {
    const { runId, attempt } = await takenRun()
    const prompt = (index: number, text: string) => ({
      prompt: index,
      text,
      tokens: [{ id: 7, text, generated: index === 1 }],
    })
    const rows = [prompt(1, 'b'), prompt(0, 'a')]
    await insertHeadRows(db, { runId, attempt }, { of: 'attentionPrompts', rows })
    await insertHeadRows(
      db,
      { runId, attempt },
      {
        of: 'headDiversity',
        rows: [
          { layer: 3, values: { all: 1 } },
          { layer: 1, values: {} },
        ],
      },
    )
    expect((await findPrompts(db, [runId])).get(runId)).toEqual([prompt(0, 'a'), prompt(1, 'b')])
    expect((await findDiversity(db, [runId])).get(runId)?.map(({ layer }) => layer)).toEqual([1, 3])
  })

  it('of an attempt that lost its run are refused, and those it wrote before are not read', async () => {
    const first = await takenRun()
    await storeMaps(first, 9)
    await handBackRun(db, first)
    const second = await takenRun(first.runId)
    const rows = [tileOf(0, 9, 0, 0)]
    expect(await insertHeadRows(db, first, { of: 'attentionTiles', rows })).toBe(false)
    expect(await findMapOutline(db, [first.runId])).toEqual(new Map())
    expect(await findSmallMaps(db, [{ runId: first.runId, prompt: 0, layer: 2, head: 0 }])).toEqual([null])
    await storeMaps(second, 9)
    // Sent again, as after an answer that was lost.
    expect(await insertHeadRows(db, second, { of: 'attentionTiles', rows })).toBe(true)
    expect((await findMapOutline(db, [first.runId])).get(first.runId)?.attempt).toBe(2)
    await cancelRun(db, first.runId)
    expect(await insertHeadRows(db, second, { of: 'attentionTiles', rows: [tileOf(7, 9, 0, 0)] })).toBe(false)
    expect(await db.attentionTile.count({ where: { runId: first.runId, head: 7 } })).toBe(0)
  })

  it('keep their bytes uncompressed', async () => {
    const { runId, attempt } = await takenRun()
    const data = new Uint8Array(131_072)
    await insertHeadRows(db, { runId, attempt }, { of: 'attentionTiles', rows: [{ ...tileOf(0, 256, 0, 0), data }] })
    const [size] = await db.$queryRaw<{ bytes: number }[]>`
      SELECT pg_column_size(data)::int AS bytes FROM "AttentionTile" WHERE "runId" = ${runId}::uuid`
    expect(size?.bytes).toBeGreaterThanOrEqual(data.length)
  })
})
