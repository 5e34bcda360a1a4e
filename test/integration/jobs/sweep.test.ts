import { randomUUID } from 'node:crypto'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { readConfig } from '../../../src/config.ts'
import { connectDatabase, type Database } from '../../../src/db/client.ts'
import { readEvents } from '../../../src/db/events.ts'
import { insertSeries } from '../../../src/db/results.ts'
import type { RunQueue } from '../../../src/db/run-queue.ts'
import { finishRun, requireRun, takeRun } from '../../../src/db/runs.ts'
import { databaseTime, registerWorker } from '../../../src/db/workers.ts'
import type { Device } from '../../../src/jobs/glossary.ts'
import { queueName } from '../../../src/jobs/queue-names.ts'
import type { BenchmarkSpecInput } from '../../../src/jobs/spec.ts'
import { submitRun } from '../../../src/jobs/submit.ts'
import { type Sweeper, startSweeper } from '../../../src/jobs/sweep.ts'
import { createLogger } from '../../../src/log.ts'
import { until } from '../../support/processes.ts'
import { createTestDatabase } from '../../support/test-database.ts'
import { tinySource, tinySpec } from '../../support/tiny-spec.ts'

type PlacementInput = NonNullable<BenchmarkSpecInput['placement']>

const databaseUrl = await createTestDatabase()
const logger = createLogger('worker', 'silent')
let db: Database
let sent: string[] = []
let emptied: string[] = []
let sweepers: Sweeper[] = []
const queues = {
  enqueue: async (runId: string, queue: RunQueue, attempt: number) => {
    sent.push(`${runId} ${queueName(queue)} ${attempt}`)
  },
  empty: async (queue: RunQueue) => {
    emptied.push(queueName(queue))
  },
}

function sweeper(deviceTimeoutMs = 60_000): Sweeper {
  const config = { sweepMs: 3_600_000, queueLockMs: 1000, deviceTimeoutMs }
  const made = startSweeper({ db, queues, config, logger })
  sweepers.push(made)
  return made
}

async function submit(device: Device = 'CPU', placement: PlacementInput | null = null): Promise<string> {
  const spec = tinySpec({ subjects: [{ source: tinySource, device }], placement })
  return (await submitRun({ db, queues, config: readConfig({}) }, { spec })).runId
}

async function addWorker(lastSeenAgoMs: number, devices: Device[] = ['CPU'], hostname = 'somewhere'): Promise<string> {
  const id = randomUUID()
  await registerWorker(db, { id, hostname, pid: 1, machineId: 'machine', devices })
  await db.worker.update({ where: { id }, data: { lastSeen: await databaseTime(db, lastSeenAgoMs) } })
  return id
}

const age = async (runId: string, ms: number) =>
  db.run.update({ where: { id: runId }, data: { queuedAt: await databaseTime(db, ms) } })

beforeEach(async () => {
  db = connectDatabase(databaseUrl)
  await db.run.deleteMany()
  await db.worker.deleteMany()
  sent = []
  emptied = []
  sweepers = []
})
afterEach(async () => {
  await Promise.all(sweepers.map((one) => one.stop()))
  await db.close()
})

it('enqueues a run that has waited for a while again, and leaves a fresh one alone', async () => {
  const old = await submit()
  await age(old, 5000)
  await submit()
  sent = []
  await sweeper().sweep()
  expect(sent).toEqual([`${old} kvscope-cpu 1`])
})

it('queues a run whose worker is silent or gone for its next attempt, and leaves one that is worked on alone', async () => {
  const [silent, gone, worked] = [await submit(), await submit(), await submit()]
  const never = new Date(0)
  await takeRun(db, silent, await addWorker(5000), never)
  await takeRun(db, gone, randomUUID(), never)
  await takeRun(db, worked, await addWorker(0), never)
  sent = []
  await sweeper().sweep()
  expect(sent.sort()).toEqual([`${silent} kvscope-cpu 2`, `${gone} kvscope-cpu 2`].sort())
  const queued = { status: 'QUEUED', attempt: 1, takes: 1, workerId: null, startedAt: null }
  expect(await requireRun(db, silent)).toMatchObject(queued)
  expect(await requireRun(db, gone)).toMatchObject(queued)
  expect((await requireRun(db, worked)).status).toBe('RUNNING')
  expect((await readEvents(db, gone, 0, 10)).at(-1)).toMatchObject({ status: 'QUEUED', message: 'its worker is gone' })
})

it('breaks the guard of a worker that was only silent, and leaves an orphan that was taken before it to its taker', async () => {
  const [paused, redelivered] = [await submit(), await submit()]
  const never = new Date(0)
  await takeRun(db, paused, await addWorker(5000), never)
  await takeRun(db, redelivered, await addWorker(5000), never)
  const successor = await addWorker(0)
  const taken = await takeRun(db, redelivered, successor, await databaseTime(db, 1000))
  expect(taken).toMatchObject({ attempt: 2 })
  await sweeper().sweep()
  expect(await requireRun(db, redelivered)).toMatchObject({ status: 'RUNNING', attempt: 2, workerId: successor })
  const error = { code: 'INTERNAL', message: 'late', hint: null } as const
  expect(await finishRun(db, { runId: paused, attempt: 1 }, { status: 'FAILED', error, log: null })).toBe(false)
  expect(await takeRun(db, paused, successor, never)).toMatchObject({ attempt: 2 })
})

it('fails a run whose only worker is gone when nobody offers its device for the whole time', async () => {
  const runId = await submit()
  await takeRun(db, runId, randomUUID(), new Date(0))
  const one = sweeper(300)
  await until('the run failed', async () => {
    await one.sweep()
    return (await requireRun(db, runId)).status === 'FAILED'
  })
  expect(await requireRun(db, runId)).toMatchObject({ errorCode: 'DEVICE_UNAVAILABLE', attempt: 1 })
})

it('counts no silence from while the database was away, and counts it afterwards', async () => {
  const [running, cuda] = [await submit(), await submit('CUDA')]
  await takeRun(db, running, await addWorker(0), new Date(0))
  for (const runId of [running, cuda]) await age(runId, 3_600_000)
  let away = false
  const lossy = new Proxy(db, {
    get: (target, key) => {
      if (away) throw new Error('connection refused')
      return Reflect.get(target, key, target)
    },
  })
  vi.useFakeTimers({ toFake: ['Date'] })
  try {
    const config = { sweepMs: 45_000, queueLockMs: 1000, deviceTimeoutMs: 60_000 }
    const one = startSweeper({ db: lossy, queues, config, logger })
    sweepers.push(one)
    const statuses = async () => [(await requireRun(db, running)).status, (await requireRun(db, cuda)).status]
    const later = (ms: number) => vi.setSystemTime(Date.now() + ms)
    away = true
    later(60_000)
    await expect(one.sweep()).rejects.toThrow('refused')
    later(60_000)
    away = false
    await db.worker.updateMany({ data: { lastSeen: await databaseTime(db, 120_000) } })
    sent = []
    await one.sweep()
    expect(await statuses()).toEqual(['RUNNING', 'QUEUED'])
    later(1000)
    await one.sweep()
    expect(await statuses()).toEqual(['QUEUED', 'QUEUED'])
    expect(sent).toContain(`${running} kvscope-cpu 2`)
    later(59_000)
    await one.sweep()
    expect(await statuses()).toEqual(['FAILED', 'FAILED'])
  } finally {
    vi.useRealTimers()
  }
})

it('fails a run whose device nobody has offered for the whole time, naming device, wait and remedy', async () => {
  await addWorker(0, ['CPU'])
  const [cuda, cpu] = [await submit('CUDA'), await submit('CPU')]
  const one = sweeper(300)
  await until('the run failed', async () => {
    await db.worker.updateMany({ data: { lastSeen: await databaseTime(db) } })
    await one.sweep()
    return (await requireRun(db, cuda)).status === 'FAILED'
  })
  expect(await requireRun(db, cuda)).toMatchObject({
    errorCode: 'DEVICE_UNAVAILABLE',
    errorMessage: expect.stringMatching(/CUDA.*0\.3 s/),
    errorHint: expect.stringMatching(/kvscope worker/),
  })
  expect((await requireRun(db, cpu)).status).toBe('QUEUED')
})

it('enqueues placed runs again into their own queues', async () => {
  const worker = await addWorker(0)
  const [host, own] = [await submit('CPU', { hostname: 'lab' }), await submit('CPU', { workerId: worker })]
  for (const runId of [host, own]) await age(runId, 5000)
  sent = []
  await sweeper().sweep()
  expect(sent).toEqual([
    `${host} ${queueName({ device: 'CPU', placedHostname: 'lab', placedWorkerId: null })} 1`,
    `${own} kvscope-cpu-worker-${worker} 1`,
  ])
})

it('keeps an orphan of a placed worker in its queue, whoever else is idle', async () => {
  await addWorker(0, ['CPU'], 'another host')
  const dead = await addWorker(0, ['CPU'], 'lab')
  const runId = await submit('CPU', { hostname: 'lab' })
  expect(await takeRun(db, runId, dead, new Date(0))).toMatchObject({ attempt: 1, placedHostname: 'lab' })
  await db.worker.update({ where: { id: dead }, data: { lastSeen: await databaseTime(db, 5000) } })
  sent = []
  await sweeper().sweep()
  const queue = queueName({ device: 'CPU', placedHostname: 'lab', placedWorkerId: null })
  expect(sent).toEqual([`${runId} ${queue} 2`])
})

it('fails runs whose host or worker nobody serves, naming the placement and who lives, and leaves the others', async () => {
  const [alive, gone] = [await addWorker(0, ['CPU'], 'office'), await addWorker(0, ['CPU'], 'gone host')]
  const [host, worker] = [await submit('CPU', { hostname: 'lab' }), await submit('CPU', { workerId: gone })]
  const cuda = await submit('CUDA', { hostname: 'office' })
  const served = [await submit(), await submit('CPU', { hostname: 'office' }), await submit('CPU', { workerId: alive })]
  await db.worker.delete({ where: { id: gone } })
  const one = sweeper(300)
  await until('the placed runs failed', async () => {
    await db.worker.updateMany({ data: { lastSeen: await databaseTime(db) } })
    await one.sweep()
    return (await db.run.count({ where: { status: 'FAILED' } })) === 3
  })
  const unavailable = (message: RegExp) => ({
    status: 'FAILED',
    errorCode: 'DEVICE_UNAVAILABLE',
    errorMessage: expect.stringMatching(message),
  })
  const living = `alive: ${alive} on office \\(CPU\\)`
  expect(await requireRun(db, host)).toMatchObject(unavailable(new RegExp(`host "lab".*CPU for 0\\.3 s; ${living}`)))
  expect(await requireRun(db, worker)).toMatchObject(unavailable(new RegExp(`worker ${gone}.*CPU.*${living}`)))
  expect(await requireRun(db, cuda)).toMatchObject(unavailable(new RegExp(`host "office".*CUDA.*${living}`)))
  for (const runId of served) expect((await requireRun(db, runId)).status).toBe('QUEUED')
  expect(emptied).toEqual([`kvscope-cpu-worker-${gone}`])
})

it('gives workers the whole time from when it first looks, however long the run has waited', async () => {
  const runId = await submit('CUDA')
  await age(runId, 3_600_000)
  await sweeper(60_000).sweep()
  expect((await requireRun(db, runId)).status).toBe('QUEUED')
})

it('deletes rows of earlier attempts and keeps those of the latest', async () => {
  const runId = await submit()
  const row = {
    subjectIndex: 0,
    phase: 'LOAD' as const,
    test: '',
    promptTokens: 0,
    generatedTokens: 0,
    depth: 0,
    batch: 1,
    samples: [1],
    kvCacheBytes: null,
    kvCacheBytesPredicted: null,
    kvCacheBytesAllocated: null,
    peakMemoryBytes: null,
    peakMemoryBytesPredicted: null,
    bytesRead: null,
    kvBytesRead: null,
    flops: null,
    warnings: [],
  }
  const future = new Date(Date.now() + 3_600_000)
  for (const attempt of [1, 2]) {
    await takeRun(db, runId, await addWorker(0), future)
    await insertSeries(db, { runId, attempt }, [row])
  }
  await sweeper().sweep()
  expect(await db.series.findMany({ where: { runId }, select: { attempt: true } })).toEqual([{ attempt: 2 }])
})

it('forgets workers that have been dead for a day', async () => {
  const [dead, alive] = [await addWorker(25 * 3_600_000), await addWorker(3_600_000)]
  await sweeper().sweep()
  expect(await db.worker.findMany({ select: { id: true } })).toEqual([{ id: alive }])
  expect(dead).not.toBe(alive)
})

it('sweeps in one process at a time', async () => {
  const runId = await submit()
  await age(runId, 5000)
  sent = []
  let release: () => void = () => undefined
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  const slow = {
    ...queues,
    enqueue: async (id: string) => {
      sent.push(`slow ${id}`)
      await held
    },
  }
  const config = { sweepMs: 3_600_000, queueLockMs: 1000, deviceTimeoutMs: 60_000 }
  const first = startSweeper({ db, queues: slow, config, logger })
  sweepers.push(first)
  const sweeping = first.sweep()
  await until('the first is at it', () => sent.length === 1)
  await sweeper().sweep()
  expect(sent).toEqual([`slow ${runId}`])
  release()
  await sweeping
})
