import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { cancel } from '../../../src/jobs/control.ts'
import { until } from '../../support/processes.ts'
import { describeOnQueues } from '../../support/queue-backends.ts'
import { expectFinishedOnce } from '../../support/run-checks.ts'
import { openSubmitter, type Submitter } from '../../support/submitting.ts'
import { createTestDatabase } from '../../support/test-database.ts'
import { longSpec, tinySeries, tinySpec } from '../../support/tiny-spec.ts'
import { startTestWorker, type TestWorker } from '../../support/workers.ts'

/** Processes start slowly on a busy machine. */
vi.setConfig({ testTimeout: 120_000 })

const dataDir = mkdtempSync(join(tmpdir(), 'kvscope-executing-'))
afterAll(() => rmSync(dataDir, { recursive: true, force: true }))

/** CPU time of a process in ticks of the kernel, a hundredth of a second each. */
function ticksOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return Number(fields[11]) + Number(fields[12])
}

describeOnQueues('a worker', ({ redisUrl }) => {
  let submitter: Submitter
  let worker: TestWorker
  beforeAll(async () => {
    const databaseUrl = await createTestDatabase()
    submitter = openSubmitter(databaseUrl, redisUrl)
    worker = await startTestWorker({ databaseUrl, config: { redisUrl, dataDir } })
  })
  afterAll(async () => {
    await worker.terminate()
    await submitter.close()
  })

  it('executes a run and stores what it measured', async () => {
    const runId = await submitter.submit(tinySpec())
    const run = await expectFinishedOnce(submitter.db, runId, tinySeries)
    expect(run.attempt).toBe(1)
    expect(run.keyFigure).toBeGreaterThan(0)
    expect(run.environment).toMatchObject({ cores: expect.any(Number) })
  })

  it.skipIf(process.platform !== 'linux')('has a child that computes where tests kill in a trial', async () => {
    worker.waitAt('in a trial')
    const runId = await submitter.submit(longSpec())
    await worker.reached('in a trial')
    const child = worker.children.at(-1) ?? 0
    const before = ticksOf(child)
    // A child that waited for its worker would use next to none.
    await until('it has computed', () => ticksOf(child) >= before + 10, 20_000)
    worker.goOn()
    await cancel(submitter.db, runId)
  })
})
