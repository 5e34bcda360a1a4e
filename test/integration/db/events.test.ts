import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { connectDatabase } from '../../../src/db/client.ts'
import { deleteRun } from '../../../src/db/delete-runs.ts'
import { appendEvent, appendProgress, readEvents, readEventsOfRuns } from '../../../src/db/events.ts'
import { listenToRuns } from '../../../src/db/notifications.ts'
import { cancelRun, requireRun, takeRun } from '../../../src/db/runs.ts'
import { insertSampleRun, insertSampleWorker } from '../../support/sample-runs.ts'
import { createTestDatabase } from '../../support/test-database.ts'

const url = await createTestDatabase()
const db = connectDatabase(url)
afterAll(() => db.close())
const worker = await insertSampleWorker(db)

async function takenRun() {
  const id = await insertSampleRun(db)
  const taken = await takeRun(db, id, worker, new Date(0))
  if (taken === null) throw new Error('not taken')
  return taken
}

describe('events', () => {
  it('numbers events of many writers at once without gap or double, and no reader ever sees a later one first', async () => {
    const guard = await takenRun()
    let writing = true
    const seen: number[] = []
    const reader = (async () => {
      while (writing || seen.at(-1) !== 202) {
        const events = await readEvents(db, guard.runId, seen.at(-1) ?? 0, 50)
        seen.push(...events.map(({ seq }) => seq))
      }
    })()
    const writer = (name: number) =>
      Array.from({ length: 50 }, (_, n) => n).reduce(
        (before, n) =>
          before.then(() => appendEvent(db, guard.runId, { message: `${name}/${n}` })).then(() => undefined),
        Promise.resolve(),
      )
    await Promise.all([1, 2, 3, 4].map(writer))
    writing = false
    await reader
    expect(seen).toEqual(Array.from({ length: 202 }, (_, n) => n + 1))
    const events = await readEvents(db, guard.runId, 0, 1000)
    const times = events.map(({ at }) => at.getTime())
    expect(times).toEqual([...times].sort((a, b) => a - b))
  })

  it('shows nothing of an event whose transaction fails, and gives its number to the next', async () => {
    const id = await insertSampleRun(db)
    await expect(
      db.$transaction(async (transaction) => {
        expect(await appendEvent(transaction, id, { message: 'lost' })).toBe(2)
        throw new Error('rolled back')
      }),
    ).rejects.toThrow('rolled back')
    expect(await appendEvent(db, id, { message: 'kept' })).toBe(2)
    expect((await readEvents(db, id, 1, 10)).map(({ message }) => message)).toEqual(['kept'])
  })

  it('writes progress for the attempt that runs, and for no other', async () => {
    const guard = await takenRun()
    expect(await appendProgress(db, guard, { fraction: 0.25, message: 'a quarter' })).toBe(true)
    expect(await requireRun(db, guard.runId)).toMatchObject({ fraction: 0.25, lastSeq: 3 })
    expect(await appendProgress(db, { ...guard, attempt: 2 }, { fraction: 0.9, message: null })).toBe(false)
    expect(await requireRun(db, guard.runId)).toMatchObject({ fraction: 0.25, lastSeq: 3 })
    expect((await readEvents(db, guard.runId, 2, 9))[0]).toMatchObject({ attempt: 1, fraction: 0.25, status: null })
  })

  it('reads the events of many runs in one go, each with its own limit', async () => {
    const [a, b, none] = [await takenRun(), await insertSampleRun(db), randomUUID()]
    const found = await readEventsOfRuns(db, [a.runId, b, none, 'no id'], 0, 1)
    expect([...found].map(([id, events]) => [id, events.map(({ seq }) => seq)])).toEqual([
      [a.runId, [1]],
      [b, [1]],
      [none, []],
      ['no id', []],
    ])
  })

  it('has no event for a run that there is not', async () => {
    expect(await appendEvent(db, randomUUID(), { message: 'x' })).toBeNull()
    expect(await readEvents(db, 'no id', 0, 10)).toEqual([])
  })
})

describe('notifications', async () => {
  const notifications = await listenToRuns(url)
  afterAll(() => notifications.close())

  it('wakes those who wait for that run on every change of it, and nobody else', async () => {
    const [id, other] = [await insertSampleRun(db), await insertSampleRun(db)]
    const [heard, otherHeard] = [vi.fn(), vi.fn()]
    // Notifications come in order: once a later run's is heard, those of the two insertions are behind it.
    const later = await insertSampleRun(db)
    const laterHeard = vi.fn()
    notifications.onRun(later, laterHeard)
    await appendEvent(db, later, { message: 'now' })
    await expect.poll(() => laterHeard.mock.calls.length, { interval: 5 }).toBeGreaterThan(0)
    const stop = notifications.onRun(id, heard)
    notifications.onRun(other, otherHeard)
    for (const [count, change] of [
      [1, () => takeRun(db, id, worker, new Date(0))],
      [2, () => appendEvent(db, id, { message: 'x' })],
      [3, () => cancelRun(db, id)],
      [4, () => deleteRun(db, id)],
    ] as const) {
      await change()
      await expect.poll(() => heard.mock.calls.length, { interval: 5 }).toBe(count)
    }
    expect(otherHeard).not.toHaveBeenCalled()
    stop()
    await appendEvent(db, other, { message: 'y' })
    await expect.poll(() => otherHeard.mock.calls.length, { interval: 5 }).toBe(1)
    expect(heard).toHaveBeenCalledTimes(4)
  })

  it('connects again after its connection was cut, and wakes everyone since it heard nothing meanwhile', async () => {
    const id = await insertSampleRun(db)
    const heard = vi.fn()
    notifications.onRun(id, heard)
    const admin = new pg.Client({ connectionString: url })
    await admin.connect()
    const cut = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE application_name = 'kvscope notifications' AND datname = current_database()`
    expect((await admin.query(cut)).rowCount).toBe(1)
    await admin.end()
    await expect.poll(() => heard.mock.calls.length, { interval: 10 }).toBe(1)
    await appendEvent(db, id, { message: 'after' })
    await expect.poll(() => heard.mock.calls.length, { interval: 10 }).toBe(2)
  })
})
