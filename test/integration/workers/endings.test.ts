import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { Config } from '../../../src/config.ts'
import type { RunRow } from '../../../src/db/rows.ts'
import { requireRun } from '../../../src/db/runs.ts'
import { cancel, retry } from '../../../src/jobs/control.ts'
import { isAlive, until } from '../../support/processes.ts'
import { describeOnQueues } from '../../support/queue-backends.ts'
import { expectFinishedOnce, orderedEvents, runEnded } from '../../support/run-checks.ts'
import { openSubmitter, type Submitter } from '../../support/submitting.ts'
import { createTestDatabase } from '../../support/test-database.ts'
import { longSpec, tinySeries, tinySource, tinySpec } from '../../support/tiny-spec.ts'
import { startTestWorker, type TestWorker } from '../../support/workers.ts'

/** Processes start slowly on a busy machine. */
vi.setConfig({ testTimeout: 120_000 })

const dataDir = mkdtempSync(join(tmpdir(), 'kvscope-endings-'))
afterAll(() => rmSync(dataDir, { recursive: true, force: true }))

describeOnQueues('the end of an execution', ({ redisUrl }) => {
  let databaseUrl: string
  let submitter: Submitter
  /** of all cases but those whose child has bounds of its own */
  let worker: TestWorker
  const startWorker = (childArguments: string[] = [], config: Partial<Config> = {}) =>
    startTestWorker({ databaseUrl, childArguments, config: { redisUrl, dataDir, ...config } })
  beforeAll(async () => {
    databaseUrl = await createTestDatabase()
    submitter = openSubmitter(databaseUrl, redisUrl)
    worker = await startWorker()
  })
  afterAll(() => submitter.close())

  /** A run in the midst of its trials, and the pid of its child. */
  async function startLongRun(): Promise<{ runId: string; child: number }> {
    worker.waitAt('in a trial')
    const runId = await submitter.submit(longSpec())
    await worker.reached('in a trial')
    worker.goOn()
    return { runId, child: worker.children.at(-1) ?? 0 }
  }

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
    expect(await runEnded(submitter.db, runId)).toMatchObject({
      status: 'FAILED',
      errorCode: 'OUT_OF_MEMORY',
      errorMessage: expect.stringMatching(/the run needs about .* GB of weights .* are left by the/),
    })
  })

  it('comes within a second of a cancel, in the middle of a trial', async () => {
    const { runId, child } = await startLongRun()
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
    const { runId, child } = await startLongRun()
    const names = readFileSync(`/proc/${child}/environ`, 'utf8')
      .split('\0')
      .map((pair) => pair.split('=')[0])
    await cancel(submitter.db, runId)
    expect(names).toContain('PATH')
    const known = ['KVSCOPE_DATA_DIR', 'KVSCOPE_TEST_RUN'] // by which its own are found; neither is a secret
    const others = names.filter((name) => !known.includes(name ?? ''))
    expect(others.filter((name) => /URL|TOKEN|SECRET|PASSWORD|KVSCOPE/.test(name ?? ''))).toEqual([])
  })

  describe('whose child has little', () => {
    beforeAll(() => worker.terminate())

    async function endOf(
      starting: Promise<TestWorker>,
      prepare?: (worker: TestWorker) => Promise<void>,
    ): Promise<RunRow> {
      const bounded = await starting
      const runId = await submitter.submit(tinySpec())
      await prepare?.(bounded)
      const run = await runEnded(submitter.db, runId)
      await bounded.kill()
      return run
    }

    it('memory, is OUT_OF_MEMORY with the last words of V8', async () => {
      expect(await endOf(startWorker(['--max-old-space-size=8']))).toMatchObject({
        status: 'FAILED',
        errorCode: 'OUT_OF_MEMORY',
        errorLog: expect.stringContaining('heap out of memory'),
      })
    })

    it('time and hangs, is TIMED_OUT', async () => {
      const hang = async ({ children }: TestWorker) => {
        await until('a child runs', () => children.length > 0)
        process.kill(children.at(-1) ?? 0, 'SIGSTOP')
      }
      expect(await endOf(startWorker([], { runTimeoutMs: 3000 }), hang)).toMatchObject({
        status: 'FAILED',
        errorCode: 'TIMED_OUT',
        errorMessage: expect.stringContaining('3 s'),
      })
    })
  })
})
