import { randomUUID } from 'node:crypto'
import { afterAll, describe, expect, it } from 'vitest'
import { setBaseline } from '../../../src/db/baselines.ts'
import { connectDatabase } from '../../../src/db/client.ts'
import { deleteFinishedRuns, deleteLeftTiles, deleteRun } from '../../../src/db/delete-runs.ts'
import { insertHeadRows } from '../../../src/db/head-rows.ts'
import type { Guard } from '../../../src/db/rows.ts'
import { finishRun, takeRun } from '../../../src/db/runs.ts'
import { insertSampleRun, insertSampleWorker } from '../../support/sample-runs.ts'
import { createTestDatabase } from '../../support/test-database.ts'

const db = connectDatabase(await createTestDatabase())
afterAll(() => db.close())
const worker = await insertSampleWorker(db)

async function running(kind: 'BENCHMARK' | 'ATTENTION_MAPS' = 'BENCHMARK'): Promise<Guard> {
  const guard = await takeRun(db, await insertSampleRun(db, { kind }), worker, new Date(0))
  if (guard === null) throw new Error('not taken')
  return guard
}

const succeed = (guard: Guard) =>
  finishRun(db, guard, { status: 'SUCCEEDED', environment: {}, warnings: [], keyFigure: 1 })

async function finished(): Promise<string> {
  const guard = await running()
  await succeed(guard)
  return guard.runId
}

/** A finished run with so many tiles of one value. */
async function tiled(count: number): Promise<string> {
  const guard = await running('ATTENTION_MAPS')
  const place = { prompt: 0, layer: 0, head: 0, level: 0, row: 0, statistic: 'MEAN', rows: 1, columns: 1 } as const
  const rows = Array.from({ length: count }, (_, column) => ({ ...place, column, data: new Uint8Array(4) }))
  await insertHeadRows(db, guard, { of: 'attentionTiles', rows })
  await succeed(guard)
  return guard.runId
}

describe('deleteRun', () => {
  it('leaves tiles to the sweeper, which deletes those of deleted runs and no others', async () => {
    const [gone, stays] = [await tiled(2500), await tiled(3)]
    await deleteRun(db, gone)
    expect(await db.run.count({ where: { id: gone } })).toBe(0)
    const left = (runId: string) => db.attentionTile.count({ where: { runId } })
    expect(await left(gone)).toBe(2500)
    expect(await deleteLeftTiles(db)).toBe(2000)
    expect(await deleteLeftTiles(db)).toBe(500)
    expect(await deleteLeftTiles(db)).toBe(0)
    expect([await left(gone), await left(stays)]).toEqual([0, 3])
    expect(await db.deletedRun.count()).toBe(0)
  })

  it('names the baselines that hold a run', async () => {
    const runId = await finished()
    for (const name of ['b', 'a']) await setBaseline(db, name, runId)
    await expect(deleteRun(db, runId)).rejects.toMatchObject({
      code: 'CONFLICT',
      message: `run ${runId} is the baseline "a", "b"`,
    })
  })

  it('of a run that becomes a baseline at the same moment, lets one of both happen', async () => {
    for (let round = 0; round < 20; round++) {
      const runId = await finished()
      const [deleted, set] = await Promise.allSettled([deleteRun(db, runId), setBaseline(db, 'race', runId)])
      const [there, named] = [
        await db.run.count({ where: { id: runId } }),
        await db.baseline.count({ where: { runId } }),
      ]
      expect([there, named]).toEqual(deleted.status === 'fulfilled' ? [0, 0] : [1, 1])
      for (const one of [deleted, set]) {
        if (one.status === 'rejected') expect(['CONFLICT', 'NOT_FOUND']).toContain(one.reason.code)
      }
    }
  })
})

describe('deleteFinishedRuns', () => {
  it('passes over runs under way, baselines, pinned ones where asked to, and ids of nothing', async () => {
    const [plain, pinned, named] = [await finished(), await finished(), await finished()]
    const { runId: under } = await running()
    await db.run.update({ where: { id: pinned }, data: { pinned: true } })
    await setBaseline(db, 'kept', named)
    const ids = [plain, pinned, named, under, randomUUID()]
    expect(await deleteFinishedRuns(db, ids, true)).toBe(1)
    expect(await db.run.count({ where: { id: { in: ids } } })).toBe(3)
    expect(await deleteFinishedRuns(db, ids)).toBe(1)
    expect(await db.run.count({ where: { id: pinned } })).toBe(0)
  })
})
