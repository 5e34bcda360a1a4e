import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import type { RunRow } from '../../../src/db/rows.ts'
import { requireRun } from '../../../src/db/runs.ts'
import { cancel } from '../../../src/jobs/control.ts'
import { isAlive, until } from '../../support/processes.ts'
import { describeOnQueues } from '../../support/queue-backends.ts'
import { expectFinishedOnce, orderedEvents } from '../../support/run-checks.ts'
import { openSubmitter, type Submitter } from '../../support/submitting.ts'
import { createTestDatabase } from '../../support/test-database.ts'
import { longSpec, tinySeries, tinySource, tinySpec } from '../../support/tiny-spec.ts'
import { startTestWorker, type TestWorker } from '../../support/workers.ts'

/** Processes start slowly on a busy machine. */
vi.setConfig({ testTimeout: 120_000 })

const dataDir = mkdtempSync(join(tmpdir(), 'kvscope-several-workers-'))
afterAll(() => rmSync(dataDir, { recursive: true, force: true }))

// Each case leaves the next the workers that it has not ended.
describeOnQueues('of several workers', ({ redisUrl }) => {
  let databaseUrl: string
  let submitter: Submitter
  const workers: TestWorker[] = []
  const startWorker = async (machineId: string) => {
    workers.push(await startTestWorker({ databaseUrl, machineId, config: { redisUrl, dataDir } }))
  }
  beforeAll(async () => {
    databaseUrl = await createTestDatabase()
    submitter = openSubmitter(databaseUrl, redisUrl)
    await Promise.all([startWorker('one machine'), startWorker('one machine')])
  })
  afterAll(() => submitter.close())

  async function finishThree(): Promise<RunRow[]> {
    const subjects = [{ source: tinySource, threads: 1 }]
    const runIds = await Promise.all([1, 2, 3].map((seed) => submitter.submit(tinySpec({ subjects, seed }))))
    return Promise.all(runIds.map((runId) => expectFinishedOnce(submitter.db, runId, tinySeries / 2)))
  }

  /** How many of the runs began before another one had ended. */
  function overlaps(runs: readonly RunRow[]): number {
    const inOrder = [...runs].sort((a, b) => Number(a.startedAt) - Number(b.startedAt))
    return inOrder.filter((run, index) => Number(run.startedAt) < Number(inOrder[index - 1]?.finishedAt ?? 0)).length
  }

  /** Submits, and takes the worker that executes the run from the list of those who are left. */
  async function giveUpOne(spec: Parameters<Submitter['submit']>[0], moment: 'loading' | 'in a trial') {
    for (const worker of workers) worker.waitAt(moment)
    const runId = await submitter.submit(spec)
    const reached = workers.map((worker) => worker.reached(moment).then(() => worker))
    for (const waiting of reached) waiting.catch(() => undefined)
    const worker = await Promise.race(reached)
    workers.splice(workers.indexOf(worker), 1)
    for (const other of workers) other.waitAt(null)
    return { runId, worker, child: worker.children.at(-1) ?? 0 }
  }

  it('two of one machine never execute at the same time, and both take their turn', async () => {
    const runs = await finishThree()
    expect(overlaps(runs)).toBe(0)
    expect(new Set(runs.map((run) => run.workerId)).size).toBe(2)
  })

  it('one of another machine executes beside them', async () => {
    await startWorker('another machine')
    expect(overlaps(await finishThree())).toBeGreaterThan(0)
  })

  it('one that is asked to stop hands back what runs within 10 s, and another goes on with it', async () => {
    const { runId, worker, child } = await giveUpOne(longSpec(), 'in a trial')
    worker.goOn()
    const started = performance.now()
    expect(await worker.terminate()).toBe(0)
    expect(performance.now() - started).toBeLessThan(10_000)
    expect(isAlive(child)).toBe(false)
    expect(await submitter.db.worker.count({ where: { pid: worker.process.pid ?? 0 } })).toBe(0)

    const takenAgain = async () => (await requireRun(submitter.db, runId)).attempt === 2
    await until('another takes it up', takenAgain)
    await cancel(submitter.db, runId)
    const events = await orderedEvents(submitter.db, runId)
    const moves = events.filter(({ status }) => status !== null).map(({ status, attempt }) => [status, attempt])
    expect(moves).toEqual([
      ['QUEUED', 0],
      ['RUNNING', 1],
      ['QUEUED', 1],
      ['RUNNING', 2],
      ['CANCELED', 2],
    ])
    expect(events.find(({ status, attempt }) => status === 'QUEUED' && attempt === 1)?.message).toBe('handed back')
  })

  it('one that is asked to stop lets a short run finish', async () => {
    const { runId, worker } = await giveUpOne(tinySpec(), 'loading')
    const stopped = worker.terminate()
    worker.goOn()
    expect(await stopped).toBe(0)
    expect((await expectFinishedOnce(submitter.db, runId, tinySeries)).attempt).toBe(1)
  })

  it('one that is asked to stop ends at once at a second signal, and its child with it', async () => {
    const { runId, worker, child } = await giveUpOne(longSpec(), 'in a trial')
    worker.goOn()
    worker.process.kill('SIGTERM')
    await until('it heard', () => worker.log().includes('worker stopping'))
    expect(await worker.terminate()).toBe(1)
    await until('the child is gone', () => !isAlive(child), 5000)
    await cancel(submitter.db, runId)
  })
})
