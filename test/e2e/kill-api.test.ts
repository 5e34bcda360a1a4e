import type { ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { fetchBenchmarkRun } from '../../src/cli/benchmark-run.ts'
import { type ApiClient, createApiClient, type RunEvent } from '../../src/cli/client.ts'
import { connectDatabase, type Database } from '../../src/db/client.ts'
import { StartBenchmarkDocument } from '../../src/generated/operations.ts'
import { findLastingPort, startApiProcess } from '../support/api-processes.ts'
import { killNow, until } from '../support/processes.ts'
import { type QueueBackend, queueBackends } from '../support/queue-backends.ts'
import { expectFinishedOnce } from '../support/run-checks.ts'
import { createTestDatabase } from '../support/test-database.ts'
import { manyTrialsSpec, tinySeries } from '../support/tiny-spec.ts'
import { startTestWorker, type TestWorker } from '../support/workers.ts'

vi.setConfig({ testTimeout: 120_000 })

/** An API, a worker and a client, with a database of their own and one of the queues. */
interface Installation {
  readonly backend: QueueBackend['backend']
  readonly db: Database
  readonly worker: TestWorker
  readonly client: ApiClient
  startApi(): Promise<void>
  killApi(): Promise<void>
}

const over = new AbortController()
const dataDir = mkdtempSync(join(tmpdir(), 'kvscope-kill-api-'))
afterAll(() => rmSync(dataDir, { recursive: true, force: true }))

async function install({ backend, redisUrl }: QueueBackend): Promise<Installation> {
  const databaseUrl = await createTestDatabase()
  const port = await findLastingPort()
  const db = connectDatabase(databaseUrl)
  const config = { redisUrl, dataDir: join(dataDir, backend) }
  let api: ChildProcess | undefined
  const startApi = async () => {
    api = await startApiProcess({ databaseUrl, redisUrl, port })
  }
  // The API as users start it knows no prefix but its own; each Redis here is one installation's alone.
  const [worker] = await Promise.all([startTestWorker({ databaseUrl, config, queuePrefix: 'kvscope' }), startApi()])
  return {
    backend,
    db,
    worker,
    client: createApiClient(`http://127.0.0.1:${port}`, { signal: over.signal }),
    startApi,
    async killApi() {
      if (api) await killNow(api)
    },
  }
}

/** Follows a run through whatever happens to its API. `seen` grows as events come; `ended` resolves after the last. */
function follow(client: ApiClient, runId: string): { seen: RunEvent[]; ended: Promise<void> } {
  const seen: RunEvent[] = []
  const read = async () => {
    for await (const event of client.follow(runId)) seen.push(event)
  }
  return { seen, ended: read() }
}

/** Right after the mutation's answer, twice while it is running, and so that the end comes while the API is away. */
async function killAtEveryMoment({ db, worker, killApi, startApi }: Installation, seen: RunEvent[]): Promise<void> {
  await killApi()
  await startApi()

  await worker.reached('in a trial')
  await until('the client sees it running', () => seen.some(({ status }) => status === 'RUNNING'))
  await killApi()
  worker.waitAt('before the end')
  worker.goOn()
  await startApi()
  await killApi()
  await worker.reached('before the end')
  await startApi()

  const { lastSeq } = await db.run.findFirstOrThrow()
  await until('the client has caught up', () => seen.at(-1)?.seq === lastSeq)
  await killApi()
  worker.goOn()
  await until('the run has ended', async () => (await db.run.count({ where: { status: 'SUCCEEDED' } })) === 1)
  expect(seen).toHaveLength(lastSeq)
  await startApi()
}

describe('kill -9 of the API', () => {
  const installations: Installation[] = []
  beforeAll(async () => {
    installations.push(...(await Promise.all(queueBackends.map(install))))
  })
  afterAll(async () => {
    over.abort()
    await Promise.all(installations.map(({ db }) => db.close()))
  })
  if (queueBackends.length === 1) it.skip('on REDIS too (no redis-server on PATH)')

  it('at every moment of one run, loses and doubles nothing for a client that follows it', async () => {
    const survive = async (installation: Installation) => {
      const { client, db, worker } = installation
      const { kind: _kind, version: _version, ...spec } = manyTrialsSpec()
      const input = { ...spec, idempotencyKey: 'followed' }
      const submit = async () => (await client.request(StartBenchmarkDocument, { input })).startBenchmark
      worker.waitAt('in a trial')
      const { run, alreadyExisted } = await submit()
      expect(alreadyExisted).toBe(false)
      const { seen, ended } = follow(client, run.id)
      await Promise.all([ended, killAtEveryMoment(installation, seen)])

      const { attempt, lastSeq } = await expectFinishedOnce(db, run.id, tinySeries)
      expect(attempt).toBe(1)
      expect(seen.map(({ seq }) => seq)).toEqual(Array.from({ length: lastSeq }, (_, index) => index + 1))
      expect(seen.filter(({ status }) => status === 'SUCCEEDED')).toEqual([seen.at(-1)])
      const fetched = await fetchBenchmarkRun(client, run.id)
      expect(fetched).toMatchObject({ status: 'SUCCEEDED', attempt: 1 })
      expect(fetched.series).toHaveLength(tinySeries)
      // A client that has missed the first answer asks once more.
      expect(await submit()).toMatchObject({ run: { id: run.id }, alreadyExisted: true })
      expect(await db.run.count()).toBe(1)
    }
    const results = await Promise.allSettled(installations.map(survive))
    for (const [index, result] of results.entries()) {
      if (result.status === 'fulfilled') continue
      const { backend, worker } = installations[index] ?? {}
      throw new Error(`${backend}: ${result.reason}\n${worker?.log().slice(-4000)}`, { cause: result.reason })
    }
  })
})
