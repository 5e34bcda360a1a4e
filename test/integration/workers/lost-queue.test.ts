import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterAll, expect, it, vi } from 'vitest'
import { queueBackends } from '../../support/queue-backends.ts'
import { expectFinishedOnce } from '../../support/run-checks.ts'
import { openSubmitter } from '../../support/submitting.ts'
import { createTestDatabase } from '../../support/test-database.ts'
import { tinySeries, tinySpec } from '../../support/tiny-spec.ts'
import { startTestWorker } from '../../support/workers.ts'

vi.setConfig({ testTimeout: 120_000 })

const databaseUrl = await createTestDatabase()
const dataDir = mkdtempSync(join(tmpdir(), 'kvscope-lost-queue-'))
afterAll(() => rmSync(dataDir, { recursive: true, force: true }))

const redisUrl = queueBackends.find(({ backend }) => backend === 'REDIS')?.redisUrl ?? null

it.skipIf(redisUrl === null)('executes runs whose messages Redis has lost', async () => {
  const submitter = openSubmitter(databaseUrl, redisUrl)
  const runIds = [await submitter.submit(tinySpec()), await submitter.submit(tinySpec({ seed: 1 }))]
  const redis = new Redis(redisUrl ?? '')
  expect(await redis.dbsize()).toBeGreaterThan(0)
  await redis.flushdb()
  redis.disconnect()
  const worker = await startTestWorker({ databaseUrl, config: { dataDir, redisUrl } })
  for (const runId of runIds) expect((await expectFinishedOnce(submitter.db, runId, tinySeries)).attempt).toBe(1)
  await worker.terminate()
  await submitter.close()
})
