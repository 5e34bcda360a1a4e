import { afterAll, describe, expect, it } from 'vitest'
import { connectDatabase } from '../../../src/db/client.ts'
import { completeSubjects, findSeries, insertSeries } from '../../../src/db/results.ts'
import { findSubjects } from '../../../src/db/run-parts.ts'
import { cancelRun, handBackRun, takeRun } from '../../../src/db/runs.ts'
import { medianInterval } from '../../../src/stats/summary.ts'
import { insertSampleRun, insertSampleWorker, sampleSeries } from '../../support/sample-runs.ts'
import { createTestDatabase } from '../../support/test-database.ts'

const db = connectDatabase(await createTestDatabase())
afterAll(() => db.close())
const worker = await insertSampleWorker(db)

async function takenRun(id?: string) {
  const taken = await takeRun(db, id ?? (await insertSampleRun(db)), worker, new Date(0))
  if (taken === null) throw new Error('not taken')
  return { runId: taken.runId, attempt: taken.attempt }
}
const seriesOf = async (id: string) => (await findSeries(db, [id])).get(id) ?? []

describe('series', () => {
  it('come back as they were stored, to the last bit', async () => {
    const guard = await takenRun()
    const rows = [
      sampleSeries(),
      sampleSeries({ phase: 'LOAD', test: '', samples: [], kvCacheBytes: null, warnings: [] }),
    ]
    expect(await insertSeries(db, guard, rows)).toBe(true)
    expect(await seriesOf(guard.runId)).toEqual(rows.map((row) => ({ ...row, ...guard, storedInterval: null })))
  })

  it('bring the interval of their median with them, where they have five samples', async () => {
    const guard = await takenRun()
    const samples = [101, 99, 104, 100, 103]
    await insertSeries(db, guard, [sampleSeries({ samples }), sampleSeries({ test: 'few', samples: samples.slice(1) })])
    const stored = await seriesOf(guard.runId)
    expect(stored.map(({ storedInterval }) => storedInterval)).toEqual([medianInterval(samples), null])
  })

  it('replace themselves when the same batch comes again', async () => {
    const guard = await takenRun()
    await insertSeries(db, guard, [sampleSeries({ samples: [1] })])
    await insertSeries(db, guard, [sampleSeries({ samples: [1, 2] })])
    expect((await seriesOf(guard.runId)).map(({ samples }) => samples)).toEqual([[1, 2]])
  })

  it('of an attempt that lost its run are refused, and those it wrote before are not read', async () => {
    const first = await takenRun()
    await insertSeries(db, first, [sampleSeries({ samples: [1] })])
    await handBackRun(db, first)
    expect((await seriesOf(first.runId)).map(({ samples }) => samples)).toEqual([[1]])
    const second = await takenRun(first.runId)
    expect(await insertSeries(db, first, [sampleSeries({ samples: [9] })])).toBe(false)
    expect(await seriesOf(first.runId)).toEqual([])
    await insertSeries(db, second, [sampleSeries({ samples: [2] })])
    expect((await seriesOf(first.runId)).map(({ samples }) => samples)).toEqual([[2]])
    await cancelRun(db, first.runId)
    expect(await insertSeries(db, second, [sampleSeries({ test: 'late' })])).toBe(false)
    expect(await seriesOf(first.runId)).toHaveLength(1)
  })

  it('are either wholly written or wholly refused when the run is cancelled at the same moment', async () => {
    for (let round = 0; round < 20; round++) {
      const guard = await takenRun()
      const batch = Array.from({ length: 20 }, (_, n) => sampleSeries({ test: `tg${n}` }))
      const [written] = await Promise.all([insertSeries(db, guard, batch), cancelRun(db, guard.runId)])
      expect(await seriesOf(guard.runId)).toHaveLength(written ? 20 : 0)
    }
  })
})

describe('completeSubjects', () => {
  const opened = { index: 0, dtype: 'F16', computeDtype: 'F32', fingerprint: 'abc' }

  it('adds what the opened checkpoint tells, and keeps the rest', async () => {
    const guard = await takenRun()
    expect(await completeSubjects(db, guard, [opened])).toBe(true)
    const [subject] = (await findSubjects(db, [guard.runId])).get(guard.runId) ?? []
    expect(subject).toMatchObject({ ...opened, threads: null, model: { name: 'gpt2', layers: 12 } })
  })

  it('refuses an attempt that lost its run', async () => {
    const guard = await takenRun()
    await cancelRun(db, guard.runId)
    expect(await completeSubjects(db, guard, [opened])).toBe(false)
    const [subject] = (await findSubjects(db, [guard.runId])).get(guard.runId) ?? []
    expect(subject?.fingerprint).toBeNull()
  })
})
