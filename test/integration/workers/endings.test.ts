import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { requireRun } from '../../../src/db/runs.ts'
import { cancel, retry } from '../../../src/jobs/control.ts'
import { isAlive, until } from '../../support/processes.ts'
import { expectFinishedOnce, orderedEvents, runEnded } from '../../support/run-checks.ts'
import { openSubmitter, type Submitter } from '../../support/submitting.ts'
import { createTestDatabase } from '../../support/test-database.ts'
import { longSpec, tinySeries, tinySource, tinySpec } from '../../support/tiny-spec.ts'
import { startTestWorker, type TestWorker } from '../../support/workers.ts'

/** Processes start slowly on a busy machine. */
vi.setConfig({ testTimeout: 120_000 })

const databaseUrl = await createTestDatabase()
const dataDir = mkdtempSync(join(tmpdir(), 'kvscope-endings-'))
let submitter: Submitter

beforeAll(() => {
  submitter = openSubmitter(databaseUrl, null)
})
afterAll(async () => {
  await submitter.close()
  rmSync(dataDir, { recursive: true, force: true })
})

/** Waits until a run has a child at work, and returns the child's pid. */
async function measuring(worker: TestWorker, runId: string): Promise<number> {
  const before = worker.children.length
  await until('the child measures', async () => {
    return worker.children.length >= before && (await requireRun(submitter.db, runId)).fraction >= 0.3
  })
  const child = worker.children.at(-1)
  if (child === undefined) throw new Error('the worker told of no child')
  return child
}

describe('the end of an execution', () => {
  let worker: TestWorker
  beforeAll(async () => {
    worker = await startTestWorker({ databaseUrl, config: { dataDir } })
  })
  afterAll(() => worker.kill())

  it('is WORKER_CRASHED with the signal when the child is killed, and a retry of the same run succeeds', async () => {
    worker.waitAt('loading')
    const runId = await submitter.submit(tinySpec())
    await worker.reached('loading')
    process.kill(worker.children.at(-1) ?? 0, 'SIGKILL')
    worker.goOn()
    expect(await runEnded(submitter.db, runId)).toMatchObject({
      status: 'FAILED',
      errorCode: 'WORKER_CRASHED',
      errorMessage: expect.stringContaining('SIGKILL'),
      errorHint: expect.stringContaining('Retry'),
    })
    await retry(submitter, runId)
    expect((await expectFinishedOnce(submitter.db, runId, tinySeries)).attempt).toBe(2)
  })

  it('is the code that the child checked before it loaded a weight: a prompt longer than the context', async () => {
    const overrides = { ...tinySource.synthetic.overrides, vocab_size: 50_257, n_positions: 8 }
    const source = { synthetic: { ...tinySource.synthetic, overrides } }
    const prompt = 'the quick brown fox jumps over the lazy dog'
    const runId = await submitter.submit(tinySpec({ subjects: [{ source }], tests: [], prompt }))
    expect(await runEnded(submitter.db, runId)).toMatchObject({ status: 'FAILED', errorCode: 'CONTEXT_EXCEEDED' })
  })

  it('is OUT_OF_MEMORY with the arithmetic when the machine cannot hold the weights', async () => {
    const overrides = { ...tinySource.synthetic.overrides, n_embd: 32_768, n_head: 256, n_layer: 200 }
    const runId = await submitter.submit(
      tinySpec({ subjects: [{ source: { synthetic: { ...tinySource.synthetic, overrides } } }] }),
    )
    expect(await runEnded(submitter.db, runId)).toMatchObject({ status: 'FAILED', errorCode: 'OUT_OF_MEMORY' })
  })

  it('comes within a second of a cancel, in the middle of a trial', async () => {
    const runId = await submitter.submit(longSpec())
    const child = await measuring(worker, runId)
    await cancel(submitter.db, runId)
    await until('the child is gone', () => !isAlive(child), 1000)
    const events = await orderedEvents(submitter.db, runId)
    expect(events.at(-1)?.status).toBe('CANCELED')
    expect((await cancel(submitter.db, runId)).lastSeq).toBe(events.length)
  })

  it('leaves a run that was cancelled in the queue untouched', async () => {
    worker.waitAt('enqueued')
    const runId = await submitter.submit(tinySpec())
    await worker.reached('enqueued')
    await cancel(submitter.db, runId)
    worker.goOn()
    const next = await submitter.submit(tinySpec())
    await expectFinishedOnce(submitter.db, next, tinySeries)
    expect(await requireRun(submitter.db, runId)).toMatchObject({ status: 'CANCELED', attempt: 0 })
  })

  it.skipIf(process.platform !== 'linux')('gives the child an environment without secrets', async () => {
    const runId = await submitter.submit(longSpec())
    const child = await measuring(worker, runId)
    const names = readFileSync(`/proc/${child}/environ`, 'utf8')
      .split('\0')
      .map((pair) => pair.split('=')[0])
    await cancel(submitter.db, runId)
    expect(names).toContain('PATH')
    const known = ['KVSCOPE_DATA_DIR', 'KVSCOPE_TEST_RUN'] // by which its own are found; neither is a secret
    const others = names.filter((name) => !known.includes(name ?? ''))
    expect(others.filter((name) => /URL|TOKEN|SECRET|PASSWORD|KVSCOPE/.test(name ?? ''))).toEqual([])
  })
})

describe('a child of bounded means', () => {
  const ended = async (worker: Promise<TestWorker>, prepare: (worker: TestWorker) => Promise<void>) => {
    const running = await worker
    const runId = await submitter.submit(tinySpec())
    await prepare(running)
    const run = await runEnded(submitter.db, runId)
    await running.kill()
    return run
  }

  it('ends with OUT_OF_MEMORY and the last words of V8 when its heap is full', async () => {
    const worker = startTestWorker({ databaseUrl, config: { dataDir }, childArguments: ['--max-old-space-size=8'] })
    expect(await ended(worker, async () => undefined)).toMatchObject({
      status: 'FAILED',
      errorCode: 'OUT_OF_MEMORY',
      errorLog: expect.stringContaining('heap out of memory'),
    })
  })

  it('ends with TIMED_OUT when it hangs', async () => {
    const worker = startTestWorker({ databaseUrl, config: { dataDir, runTimeoutMs: 3000 } })
    const hang = async ({ children }: TestWorker) => {
      await until('a child runs', () => children.length > 0)
      process.kill(children.at(-1) ?? 0, 'SIGSTOP')
    }
    expect(await ended(worker, hang)).toMatchObject({
      status: 'FAILED',
      errorCode: 'TIMED_OUT',
      errorMessage: expect.stringContaining('3 s'),
    })
  })
})

describe('a worker that is asked to stop', () => {
  let worker: TestWorker
  beforeEach(async () => {
    worker = await startTestWorker({ databaseUrl, config: { dataDir } })
  })

  it('hands back what runs within 10 s, and another worker finishes it', async () => {
    const runId = await submitter.submit(longSpec())
    const child = await measuring(worker, runId)
    const started = performance.now()
    expect(await worker.terminate()).toBe(0)
    expect(performance.now() - started).toBeLessThan(10_000)
    expect(isAlive(child)).toBe(false)
    expect(await requireRun(submitter.db, runId)).toMatchObject({ status: 'QUEUED', attempt: 1, workerId: null })
    expect(await submitter.db.worker.count({ where: { pid: worker.process.pid ?? 0 } })).toBe(0)

    const successor = await startTestWorker({ databaseUrl, config: { dataDir } })
    await until('it is taken up', async () => (await requireRun(submitter.db, runId)).status === 'RUNNING')
    expect((await requireRun(submitter.db, runId)).attempt).toBe(2)
    await cancel(submitter.db, runId)
    await successor.terminate()
    await orderedEvents(submitter.db, runId)
  })

  it('lets a short run finish', async () => {
    worker.waitAt('loading')
    const runId = await submitter.submit(tinySpec())
    await worker.reached('loading')
    const stopped = worker.terminate()
    worker.goOn()
    expect(await stopped).toBe(0)
    expect((await expectFinishedOnce(submitter.db, runId, tinySeries)).attempt).toBe(1)
  })

  it('ends at once at a second signal, and its child with it', async () => {
    const runId = await submitter.submit(longSpec())
    const child = await measuring(worker, runId)
    worker.process.kill('SIGTERM')
    await until('it heard', () => worker.log().includes('worker stopping'))
    expect(await worker.terminate()).toBe(1)
    await until('the child is gone', () => !isAlive(child), 5000)
    await cancel(submitter.db, runId)
  })
})

describe('two workers of one machine', () => {
  const overlaps = (runs: { startedAt: Date | null; finishedAt: Date | null }[]) => {
    const spans = runs.map((run) => [Number(run.startedAt), Number(run.finishedAt)] as const)
    const sorted = spans.sort(([a], [b]) => a - b)
    return sorted.filter(([start], index) => index > 0 && start < (sorted[index - 1]?.[1] ?? 0)).length
  }
  const runThree = async (machineIds: string[]) => {
    const workers = await Promise.all(
      machineIds.map((machineId) => startTestWorker({ databaseUrl, machineId, config: { dataDir } })),
    )
    const subjects = [{ source: tinySource, threads: 1 }]
    const runIds = await Promise.all([1, 2, 3].map((seed) => submitter.submit(tinySpec({ subjects, seed }))))
    const runs = []
    for (const runId of runIds) runs.push(await expectFinishedOnce(submitter.db, runId, tinySeries / 2))
    await Promise.all(workers.map((worker) => worker.terminate()))
    return runs
  }

  it('never execute at the same time, and both take their turn', async () => {
    const runs = await runThree(['one machine', 'one machine'])
    expect(overlaps(runs)).toBe(0)
    expect(new Set(runs.map((run) => run.workerId)).size).toBe(2)
  })

  it('would execute at the same time on two machines', async () => {
    expect(overlaps(await runThree(['one machine', 'another machine']))).toBeGreaterThan(0)
  })
})
