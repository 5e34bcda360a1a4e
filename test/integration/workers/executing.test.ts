import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { describeOnQueues } from '../../support/queue-backends.ts'
import { expectFinishedOnce } from '../../support/run-checks.ts'
import { openSubmitter, type Submitter } from '../../support/submitting.ts'
import { createTestDatabase } from '../../support/test-database.ts'
import { tinySeries, tinySpec } from '../../support/tiny-spec.ts'
import { startTestWorker, type TestWorker } from '../../support/workers.ts'

const dataDir = mkdtempSync(join(tmpdir(), 'kvscope-executing-'))
afterAll(() => rmSync(dataDir, { recursive: true, force: true }))

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
})
