import { randomUUID } from 'node:crypto'
import { afterAll, describe, expect, it } from 'vitest'
import { connectDatabase } from '../../../src/db/client.ts'
import { deleteRun } from '../../../src/db/delete-runs.ts'
import { appendProgress, readEvents } from '../../../src/db/events.ts'
import { findLabels, findSubjects } from '../../../src/db/run-parts.ts'
import {
  cancelRun,
  editRun,
  failUnstarted,
  finishRun,
  handBackRun,
  insertRun,
  mostTakes,
  requireRun,
  retryRun,
  runStillMine,
  takeRun,
} from '../../../src/db/runs.ts'
import { databaseTime, removeWorker } from '../../../src/db/workers.ts'
import { insertSampleRun, insertSampleWorker, sampleRun, sampleSubject } from '../../support/sample-runs.ts'
import { createTestDatabase } from '../../support/test-database.ts'

const db = connectDatabase(await createTestDatabase())
afterAll(() => db.close())
const worker = await insertSampleWorker(db, 'machine-a')

const never = new Date(0)
const statuses = async (id: string) => (await readEvents(db, id, 0, 100)).map(({ seq, status }) => [seq, status])
const error = { code: 'TIMED_OUT', message: 'took 5 s', hint: 'ask for less' } as const

async function takenRun() {
  const id = await insertSampleRun(db)
  const taken = await takeRun(db, id, worker, never)
  if (taken === null) throw new Error('a queued run was not taken')
  return taken
}

describe('insertRun', () => {
  it('stores a run with its subjects in order, its labels and its first event', async () => {
    const { runId } = await insertRun(
      db,
      sampleRun({
        subjects: [sampleSubject({ name: 'b' }), sampleSubject({ name: 'a', attentionKind: 'MLA', kvHeads: null })],
        labels: [
          { key: 'z', value: '1' },
          { key: 'a', value: '2' },
        ],
        note: 'a "quoted" note',
      }),
    )
    expect(await requireRun(db, runId)).toMatchObject({
      status: 'QUEUED',
      attempt: 0,
      lastSeq: 1,
      note: 'a "quoted" note',
      spec: { kind: 'BENCHMARK', version: 1 },
      warnings: [],
    })
    const subjects = (await findSubjects(db, [runId])).get(runId)
    expect(subjects?.map(({ index, name, kvHeads }) => [index, name, kvHeads])).toEqual([
      [0, 'b', 4],
      [1, 'a', null],
    ])
    expect(subjects?.[0]?.model).toEqual({ name: 'gpt2', layers: 12 })
    expect((await findLabels(db, [runId])).get(runId)?.map(({ key }) => key)).toEqual(['a', 'z'])
    expect(await statuses(runId)).toEqual([[1, 'QUEUED']])
  })

  it('gives the same run to ten at once with one idempotencyKey, and stores it once', async () => {
    const key = randomUUID()
    const results = await Promise.all(
      Array.from({ length: 10 }, () => insertRun(db, sampleRun({ idempotencyKey: key }))),
    )
    expect(new Set(results.map(({ runId }) => runId)).size).toBe(1)
    expect(results.filter(({ alreadyExisted }) => !alreadyExisted)).toHaveLength(1)
    const id = results[0]?.runId ?? ''
    expect((await findSubjects(db, [id])).get(id)).toHaveLength(1)
  })

  it('refuses a known idempotencyKey with another spec', async () => {
    const idempotencyKey = randomUUID()
    const id = await insertSampleRun(db, { idempotencyKey })
    await expect(insertRun(db, sampleRun({ idempotencyKey, specHash: 'other' }))).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining(id),
    })
  })

  it.each([
    [
      'the same label twice',
      {
        labels: [
          { key: 'k', value: '1' },
          { key: 'k', value: '2' },
        ],
      },
    ],
    ['a NUL in the note', { note: 'a\0b' }],
    ['half a surrogate pair in the spec', { spec: { prompt: 'a\ud800' } }],
  ])('refuses %s with a clear error', async (_what, overrides) => {
    await expect(insertRun(db, sampleRun(overrides))).rejects.toMatchObject({ code: 'VALIDATION_FAILED' })
  })
})

describe('takeRun', () => {
  it('gives a run to one of ten workers', async () => {
    const id = await insertSampleRun(db)
    const taken = await Promise.all(Array.from({ length: 10 }, () => takeRun(db, id, worker, never)))
    expect(taken.filter((run) => run !== null)).toEqual([
      {
        runId: id,
        attempt: 1,
        device: 'CPU',
        placedHostname: null,
        placedWorkerId: null,
        spec: sampleRun().spec,
      },
    ])
    expect(await requireRun(db, id)).toMatchObject({ status: 'RUNNING', workerId: worker, hostname: 'machine-a' })
    expect((await readEvents(db, id, 1, 10))[0]).toMatchObject({
      seq: 2,
      attempt: 1,
      message: 'attempt 1 on machine-a',
    })
  })

  it('leaves a running run to a worker that was seen lately, and takes it from one that was not', async () => {
    const { runId } = await takenRun()
    const other = await insertSampleWorker(db)
    expect(await takeRun(db, runId, other, await databaseTime(db, 60_000))).toBeNull()
    expect(await takeRun(db, runId, other, await databaseTime(db, -60_000))).toMatchObject({ attempt: 2 })
  })

  it('takes a running run whose worker has removed itself, once', async () => {
    const leaving = await insertSampleWorker(db)
    const id = await insertSampleRun(db)
    await takeRun(db, id, leaving, never)
    await removeWorker(db, leaving)
    const taken = await Promise.all([takeRun(db, id, worker, never), takeRun(db, id, worker, never)])
    expect(taken.filter((run) => run !== null)).toHaveLength(1)
  })

  it('never takes a run that has ended or that there is not', async () => {
    const { runId, attempt } = await takenRun()
    await finishRun(db, { runId, attempt }, { status: 'FAILED', error, log: null })
    expect(await takeRun(db, runId, worker, await databaseTime(db, -60_000))).toBeNull()
    expect(await takeRun(db, randomUUID(), worker, never)).toBeNull()
  })

  it('gives a placed run to no other machine or worker, also not when the one that had it is gone', async () => {
    const [lab, office] = [await insertSampleWorker(db, 'lab'), await insertSampleWorker(db, 'office')]
    const onHost = await insertSampleRun(db, { placedHostname: 'lab' })
    const onWorker = await insertSampleRun(db, { placedWorkerId: lab })
    for (const id of [onHost, onWorker]) {
      expect(await takeRun(db, id, office, never)).toBeNull()
      expect(await takeRun(db, id, lab, never)).toMatchObject({ attempt: 1 })
    }
    await removeWorker(db, lab)
    const again = await insertSampleWorker(db, 'lab')
    for (const id of [onHost, onWorker]) expect(await takeRun(db, id, office, never)).toBeNull()
    expect(await takeRun(db, onHost, again, never)).toMatchObject({ attempt: 2 })
    expect(await takeRun(db, onWorker, again, never)).toBeNull()
  })

  it(`fails a run that has cost ${mostTakes} workers, and lets the user retry it`, async () => {
    const id = await insertSampleRun(db)
    for (let n = 1; n <= mostTakes; n++) {
      expect(await takeRun(db, id, randomUUID(), never)).toMatchObject({ attempt: n })
    }
    expect(await takeRun(db, id, worker, never)).toBeNull()
    expect(await requireRun(db, id)).toMatchObject({
      status: 'FAILED',
      attempt: mostTakes,
      errorCode: 'WORKER_CRASHED',
      errorHint: expect.stringContaining('retry'),
    })
    expect((await statuses(id)).at(-1)).toEqual([mostTakes + 2, 'FAILED'])
    await retryRun(db, id)
    expect(await takeRun(db, id, worker, never)).toMatchObject({ attempt: mostTakes + 1 })
  })

  it('does not count an attempt that was handed back', async () => {
    const id = await insertSampleRun(db)
    for (let n = 1; n <= mostTakes + 2; n++) {
      expect(await takeRun(db, id, worker, never)).toMatchObject({ attempt: n })
      expect(await handBackRun(db, { runId: id, attempt: n })).toBe(true)
    }
    expect(await requireRun(db, id)).toMatchObject({ status: 'QUEUED', workerId: null, startedAt: null })
  })
})

describe('finishRun', () => {
  it('stores the outcome and the last event together', async () => {
    const guard = await takenRun()
    const environment = { hostname: 'machine-b', cores: 2 }
    const warnings = [{ code: 'NOISY', message: 'm', advice: 'a' }]
    expect(await finishRun(db, guard, { status: 'SUCCEEDED', environment, warnings, keyFigure: 12.5 })).toBe(true)
    const run = await requireRun(db, guard.runId)
    expect(run).toMatchObject({
      status: 'SUCCEEDED',
      fraction: 1,
      keyFigure: 12.5,
      environment,
      warnings,
      hostname: 'machine-b',
    })
    expect(run.finishedAt).toBeInstanceOf(Date)
    expect((await statuses(guard.runId)).at(-1)).toEqual([run.lastSeq, 'SUCCEEDED'])
  })

  it('stores a failure with the last lines of the child, whatever bytes they held', async () => {
    const guard = await takenRun()
    expect(await finishRun(db, guard, { status: 'FAILED', error, log: 'last\0line\ud800' })).toBe(true)
    expect(await requireRun(db, guard.runId)).toMatchObject({
      errorCode: 'TIMED_OUT',
      errorMessage: 'took 5 s',
      errorHint: 'ask for less',
      errorLog: 'last\ufffdline\ufffd',
    })
  })

  it('writes nothing for an attempt that lost its run, and only once for one that did not', async () => {
    const first = await takenRun()
    await handBackRun(db, first)
    const second = await takeRun(db, first.runId, worker, never)
    const outcome = { status: 'SUCCEEDED', environment: {}, warnings: [], keyFigure: null } as const
    expect(await finishRun(db, first, outcome)).toBe(false)
    expect(await runStillMine(db, first)).toBe(false)
    expect(second).not.toBeNull()
    if (second === null) return
    expect(await runStillMine(db, second)).toBe(true)
    const ends = await Promise.all([finishRun(db, second, outcome), finishRun(db, second, outcome)])
    expect(ends.sort()).toEqual([false, true])
  })
})

describe('cancelRun', () => {
  it('cancels a queued or running run at once, and what the attempt writes then is refused', async () => {
    const guard = await takenRun()
    expect(await cancelRun(db, guard.runId)).toMatchObject({ status: 'CANCELED' })
    expect(await appendProgress(db, guard, { fraction: 0.5, message: 'late' })).toBe(false)
    expect(await finishRun(db, guard, { status: 'FAILED', error, log: null })).toBe(false)
    expect((await statuses(guard.runId)).map(([, status]) => status)).toEqual(['QUEUED', 'RUNNING', 'CANCELED'])
  })

  it('changes nothing the second time', async () => {
    const id = await insertSampleRun(db)
    const once = await cancelRun(db, id)
    expect(await cancelRun(db, id)).toEqual(once)
  })

  it.each([randomUUID(), 'no id at all'])('says that there is no run %s', async (id) => {
    await expect(cancelRun(db, id)).rejects.toMatchObject({ code: 'NOT_FOUND', message: expect.stringContaining(id) })
  })
})

describe('retryRun', () => {
  it('queues a failed run at the end, with its error gone and its history kept', async () => {
    const guard = await takenRun()
    await finishRun(db, guard, { status: 'FAILED', error, log: 'x' })
    const before = await requireRun(db, guard.runId)
    const run = await retryRun(db, guard.runId)
    expect(run).toMatchObject({ status: 'QUEUED', attempt: 1, errorCode: null, errorLog: null, finishedAt: null })
    expect(run.queuedAt.getTime()).toBeGreaterThan(before.queuedAt.getTime())
    expect((await statuses(guard.runId)).map(([, status]) => status)).toEqual(['QUEUED', 'RUNNING', 'FAILED', 'QUEUED'])
  })

  it('names the status of a run that cannot be retried', async () => {
    const queued = await insertSampleRun(db)
    await expect(retryRun(db, queued)).rejects.toMatchObject({
      code: 'RUN_NOT_RETRYABLE',
      message: expect.stringContaining('QUEUED'),
    })
    const guard = await takenRun()
    await expect(retryRun(db, guard.runId)).rejects.toThrow('RUNNING')
    await finishRun(db, guard, { status: 'SUCCEEDED', environment: {}, warnings: [], keyFigure: 1 })
    await expect(retryRun(db, guard.runId)).rejects.toThrow('SUCCEEDED')
  })
})

describe('editRun and deleteRun', () => {
  it('replaces labels as a whole and leaves alone what is left out', async () => {
    const id = await insertSampleRun(db, {
      note: 'kept',
      labels: [
        { key: 'a', value: '1' },
        { key: 'b', value: '2' },
      ],
    })
    const labels = async () => (await findLabels(db, [id])).get(id)?.map(({ key, value }) => `${key}=${value}`)
    expect(await editRun(db, id, { pinned: true })).toMatchObject({ note: 'kept', pinned: true })
    expect(await labels()).toEqual(['a=1', 'b=2'])
    await editRun(db, id, {
      labels: [
        { key: 'b', value: '3' },
        { key: 'c', value: '4' },
      ],
    })
    expect(await labels()).toEqual(['b=3', 'c=4'])
    expect(await editRun(db, id, { note: null, labels: [] })).toMatchObject({ note: null, pinned: true })
    expect(await labels()).toEqual([])
    await expect(editRun(db, randomUUID(), { pinned: true })).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('refuses to delete a run under way, and deletes all of one that has ended', async () => {
    const guard = await takenRun()
    await expect(deleteRun(db, guard.runId)).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining('RUNNING'),
    })
    await cancelRun(db, guard.runId)
    await deleteRun(db, guard.runId)
    expect(await readEvents(db, guard.runId, 0, 10)).toEqual([])
    await expect(deleteRun(db, guard.runId)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })
})

describe('failUnstarted', () => {
  it('ends the runs of a device that have waited long enough, and no others', async () => {
    const [cuda, webgpu] = [
      await insertSampleRun(db, { device: 'CUDA' }),
      await insertSampleRun(db, { device: 'WEBGPU' }),
    ]
    const unavailable = { code: 'DEVICE_UNAVAILABLE', message: 'no CUDA', hint: null } as const
    const queue = { device: 'CUDA', placedHostname: null, placedWorkerId: null } as const
    expect(await failUnstarted(db, queue, 60_000, unavailable)).toBe(0)
    expect(await failUnstarted(db, queue, 0, unavailable)).toBe(1)
    expect(await requireRun(db, cuda)).toMatchObject({ status: 'FAILED', errorCode: 'DEVICE_UNAVAILABLE' })
    expect(await requireRun(db, webgpu)).toMatchObject({ status: 'QUEUED' })
  })
})
