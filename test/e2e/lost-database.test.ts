import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient } from 'graphql-ws'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import WebSocket from 'ws'
import { createApiClient } from '../../src/cli/client.ts'
import type { RunRow } from '../../src/db/rows.ts'
import { findLastingPort, startApiProcess } from '../support/api-processes.ts'
import { startOwnPostgres } from '../support/own-postgres.ts'
import { until } from '../support/processes.ts'
import { type QueueBackend, queueBackends } from '../support/queue-backends.ts'
import { expectFinishedOnce } from '../support/run-checks.ts'
import { openSubmitter, type Submitter } from '../support/submitting.ts'
import { manyTrialsSpec, tinySeries, tinySpec } from '../support/tiny-spec.ts'
import { startTestWorker, type TestWorker } from '../support/workers.ts'

vi.setConfig({ testTimeout: 300_000, hookTimeout: 240_000 })

/** An API and two workers of one machine, with a database of their own and one of the queues. */
interface Installation {
  readonly backend: QueueBackend['backend']
  readonly address: string
  readonly submitter: Submitter
  readonly workers: readonly TestWorker[]
}

const postgres = await startOwnPostgres()
const dataDir = mkdtempSync(join(tmpdir(), 'kvscope-lost-database-'))
const over = new AbortController()
afterAll(() => rmSync(dataDir, { recursive: true, force: true }))

async function install({ backend, redisUrl }: QueueBackend): Promise<Installation> {
  const databaseUrl = await postgres.createDatabase()
  const port = await findLastingPort()
  // The API as users start it knows no prefix but its own; each Redis here is one installation's alone.
  const plan = { databaseUrl, queuePrefix: 'kvscope', config: { redisUrl, dataDir: join(dataDir, backend) } }
  const api = startApiProcess({ databaseUrl, redisUrl, port })
  const workers = await Promise.all([startTestWorker(plan), startTestWorker(plan), api.then(() => null)])
  return {
    backend,
    address: `http://127.0.0.1:${port}`,
    submitter: openSubmitter(databaseUrl, redisUrl, 'kvscope'),
    workers: workers.filter((worker) => worker !== null),
  }
}

async function ask(address: string, query: string): Promise<{ status: number; text: string }> {
  const response = await fetch(`${address}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query }),
  })
  return { status: response.status, text: await response.text() }
}

/** Asks until the API answers with what is stored, and says what it answered before. */
async function answerOf(address: string, query: string): Promise<string> {
  let answer = ''
  await until('the API answers', async () => {
    const { status, text } = await ask(address, query)
    answer = text
    return status === 200 && !text.includes('"errors"')
  })
  return answer
}

/** Follows as the command line does, and over one socket that is never made anew; numbers of the events, in order. */
function followTwice({ address }: Installation, runId: string) {
  const byClient: number[] = []
  const byClientEnded = (async () => {
    const client = createApiClient(address, { signal: over.signal })
    for await (const { seq } of client.follow(runId)) byClient.push(seq)
  })()
  const bySocket: number[] = []
  const bySocketEnded = (async () => {
    const url = `${address.replace('http', 'ws')}/graphql`
    const socket = createClient({ url, webSocketImpl: WebSocket, retryAttempts: 0 })
    const query = 'subscription ($runId: ID!) { runEvents(runId: $runId) { seq } }'
    for await (const { data } of socket.iterate<{ runEvents: { seq: number } }>({ query, variables: { runId } })) {
      if (data) bySocket.push(data.runEvents.seq)
    }
    await socket.dispose()
  })()
  return { byClient, bySocket, ended: Promise.all([byClientEnded, bySocketEnded]) }
}

/** The first of an installation's workers to get somewhere, and the other. */
async function firstIn(moment: Parameters<TestWorker['reached']>[0], { workers }: Installation) {
  const reached = workers.map((worker) => worker.reached(moment).then(() => worker))
  for (const late of reached) late.catch(() => undefined)
  const first = await Promise.race(reached)
  const second = workers.find((worker) => worker !== first)
  if (second === undefined) throw new Error('one worker alone')
  return { first, second }
}

/** Who has the machine's lock and who waits for it, by the pids of the workers. */
async function machineLocks({ db }: Submitter): Promise<{ holders: number[]; waiting: number[] }> {
  const rows = await db.$queryRaw<{ pid: number; granted: boolean }[]>`
    SELECT worker.pid, lock.granted FROM pg_locks AS lock
    JOIN pg_stat_activity AS session ON session.pid = lock.pid
    JOIN "Worker" AS worker ON session.application_name = 'kvscope machine lock ' || worker.id
    WHERE lock.locktype = 'advisory'`
  const pids = (granted: boolean) => rows.filter((row) => row.granted === granted).map(({ pid }) => pid)
  return { holders: pids(true), waiting: pids(false) }
}

function overlapping(runs: readonly RunRow[]): RunRow[] {
  const inOrder = [...runs].sort((a, b) => Number(a.startedAt) - Number(b.startedAt))
  return inOrder.filter((run, index) => Number(run.startedAt) < Number(inOrder[index - 1]?.finishedAt ?? 0))
}

describe('the loss of the database', () => {
  const installations: Installation[] = []
  beforeAll(async () => {
    // One after the other: each is three processes.
    for (const backend of queueBackends) installations.push(await install(backend))
  })
  afterAll(async () => {
    over.abort()
    await Promise.all(installations.map(({ submitter }) => submitter.close()))
  })
  if (queueBackends.length === 1) it.skip('on REDIS too (no redis-server on PATH)')

  const inEach = async <T>(work: (installation: Installation, index: number) => Promise<T>): Promise<T[]> => {
    const results = await Promise.allSettled(installations.map(work))
    return results.map((result, index) => {
      if (result.status === 'fulfilled') return result.value
      const { backend, workers } = installations[index] ?? {}
      const logs = workers?.map((worker) => worker.log().slice(-3000)).join('\n')
      throw new Error(`${backend}: ${result.reason}\n${logs}`, { cause: result.reason })
    })
  }

  it('is told to whoever asks meanwhile, and keeps no event from whoever follows a run', async () => {
    const started = await inEach(async (installation) => {
      const { address, submitter, workers } = installation
      for (const worker of workers) worker.waitAt('in a trial')
      const runId = await submitter.submit(manyTrialsSpec())
      const seen = followTwice(installation, runId)
      const { first, second } = await firstIn('in a trial', installation)
      second.waitAt(null)
      await until('both see it running', () => seen.byClient.length >= 2 && seen.bySocket.length >= 2)
      return { runId, seen, first, before: await answerOf(address, `{ run(id: "${runId}") { id } }`) }
    })

    await postgres.killAndRestart(async () => {
      await inEach(async ({ address }, index) => {
        const queries = [`{ run(id: "${started[index]?.runId}") { id } }`, '{ runs { nodes { id } totalCount } }']
        for (const query of queries) {
          const { text } = await ask(address, query)
          const { data, errors } = JSON.parse(text)
          expect({ data, count: errors.length }).toMatchObject({ count: 1 })
          expect(errors[0]).toMatchObject({
            message: expect.stringMatching(/^The database cannot be reached \([0-9a-f-]{36}\)$/),
            extensions: { code: 'INTERNAL', hint: expect.stringContaining('Ask again in a moment') },
          })
          // Neither where it stood nor what asked for it.
          expect(text).not.toMatch(/prisma|postgres|127\.0\.0\.1|ECONN|invocation|src/i)
        }
      })
    })

    await inEach(async ({ address, submitter }, index) => {
      const { runId, seen, first, before } = started[index] ?? {}
      expect(await answerOf(address, `{ run(id: "${runId}") { id } }`)).toBe(before)
      first?.goOn()
      await seen?.ended
      const { lastSeq, attempt } = await expectFinishedOnce(submitter.db, runId ?? '', tinySeries)
      const everyEvent = Array.from({ length: lastSeq }, (_, index) => index + 1)
      expect({ attempt, byClient: seen?.byClient, bySocket: seen?.bySocket }).toEqual({
        attempt: 1,
        byClient: everyEvent,
        bySocket: everyEvent,
      })
    })
  })

  it('is over with the next query where the server ends every connection and stays', async () => {
    await inEach(async (installation) => {
      const { address, submitter, workers } = installation
      for (const worker of workers) worker.waitAt('in a trial')
      const runId = await submitter.submit(manyTrialsSpec())
      const seen = followTwice(installation, runId)
      const { first, second } = await firstIn('in a trial', installation)
      second.waitAt(null)
      const [{ ended } = { ended: 0 }] = await submitter.db.$queryRaw<{ ended: number }[]>`
        SELECT count(pg_terminate_backend(pid))::int AS ended FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()`
      expect(ended).toBeGreaterThan(workers.length)
      await answerOf(address, `{ run(id: "${runId}") { id } }`)
      first.goOn()
      await seen.ended
      const { lastSeq } = await expectFinishedOnce(submitter.db, runId, tinySeries)
      const everyEvent = Array.from({ length: lastSeq }, (_, index) => index + 1)
      expect([seen.byClient, seen.bySocket]).toEqual([everyEvent, everyEvent])
    })
  })

  it('leaves the machine to the one of two workers that had it, and both go on', async () => {
    const runIds = await inEach(async (installation) => {
      const { submitter, workers } = installation
      for (const worker of workers) worker.waitAt('in a trial')
      const runId = await submitter.submit(manyTrialsSpec())
      const { first, second } = await firstIn('in a trial', installation)
      const next = await submitter.submit(manyTrialsSpec())
      await until('the other waits for the machine', async () => (await machineLocks(submitter)).waiting.length > 0)
      return { runId, next, first, second }
    })

    await postgres.killAndRestart()

    await inEach(async ({ submitter, workers }, index) => {
      const { db } = submitter
      const { runId = '', next = '', first, second } = runIds[index] ?? {}
      await until('one has the lock again and the other waits', async () => {
        const { holders, waiting } = await machineLocks(submitter)
        return holders.length === 1 && waiting.length === 1
      })
      const pids = { holders: [first?.process.pid], waiting: [second?.process.pid] }
      expect(await machineLocks(submitter)).toEqual(pids)
      first?.goOn()
      // The other is in its trial only now.
      await second?.reached('in a trial')
      second?.goOn()
      const both = [await expectFinishedOnce(db, runId, tinySeries), await expectFinishedOnce(db, next, tinySeries)]
      expect(both.map(({ attempt }) => attempt)).toEqual([1, 1])
      const further = [await submitter.submit(tinySpec()), await submitter.submit(tinySpec())]
      for (const id of further) both.push(await expectFinishedOnce(db, id, tinySeries))
      expect(overlapping(both)).toEqual([])
      expect(both[0]?.workerId).not.toBe(both[1]?.workerId)
      expect(workers.map((worker) => worker.process.exitCode)).toEqual([null, null])
    })
  })
})
