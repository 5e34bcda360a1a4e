import { createClient } from 'graphql-ws'
import { afterAll, describe, expect, it } from 'vitest'
import WebSocket from 'ws'
import { followRun } from '../../../src/api/follow-run.ts'
import { connectDatabase } from '../../../src/db/client.ts'
import { appendEvent, appendProgress } from '../../../src/db/events.ts'
import { listenToRuns } from '../../../src/db/notifications.ts'
import { cancelRun, finishRun, retryRun } from '../../../src/db/runs.ts'
import { createLogger } from '../../../src/log.ts'
import { createTestDatabase } from '../../support/test-database.ts'
import { startTestApi } from './api-under-test.ts'
import { storeFinishedRun, storeQueuedRun, storeWorker, take } from './stored-runs.ts'

const url = await createTestDatabase()
const db = connectDatabase(url)
const instances = [await startTestApi(url), await startTestApi(url)]
afterAll(() => db.close())

interface SeenEvent {
  seq: number
  status: string | null
  fraction: number | null
  attempt: number
}

function connect(instance = 0) {
  const address = instances[instance]?.address.replace('http', 'ws')
  return createClient({ url: `${address}/graphql`, webSocketImpl: WebSocket, retryAttempts: 0 })
}

/** Follows a run until its end, or until `enough` says so. */
async function follow(
  runId: string,
  options: { after?: number; instance?: number; enough?: (event: SeenEvent) => boolean } = {},
) {
  const { after = 0, instance = 0, enough = () => false } = options
  const client = connect(instance)
  const seen: SeenEvent[] = []
  const query = `subscription ($runId: ID!, $after: Int) {
    runEvents(runId: $runId, after: $after) { seq status fraction attempt }
  }`
  try {
    for await (const { data, errors } of client.iterate<{ runEvents: SeenEvent }>({
      query,
      variables: { runId, after },
    })) {
      if (errors) throw new Error(JSON.stringify(errors))
      if (!data) continue
      seen.push(data.runEvents)
      if (enough(data.runEvents)) break
    }
  } finally {
    await client.dispose()
  }
  return seen
}

const seqsFrom = (first: number, count: number) => Array.from({ length: count }, (_, index) => first + index)
const outcome = { status: 'SUCCEEDED', environment: null, warnings: [], keyFigure: null } as const

describe('runEvents', () => {
  it('replays a finished run and ends', async () => {
    const runId = await storeFinishedRun(db)
    const seen = await follow(runId)
    expect(seen.map(({ seq }) => seq)).toEqual([1, 2, 3])
    expect(seen.map(({ status }) => status)).toEqual(['QUEUED', 'RUNNING', 'SUCCEEDED'])
  })

  it('gives nothing more of a finished run whose last event was seen, and ends', async () => {
    const runId = await storeFinishedRun(db)
    expect(await follow(runId, { after: 3 })).toEqual([])
    expect((await follow(runId, { after: 2 })).map(({ seq }) => seq)).toEqual([3])
  })

  it('gives every event once and in order on any instance, however late a client comes', async () => {
    const runId = await storeQueuedRun(db)
    const early = [follow(runId), follow(runId, { instance: 1 })]
    const guard = await take(db, runId, await storeWorker(db))
    for (let step = 1; step <= 100; step += 1) {
      await appendProgress(db, guard, { fraction: step / 100, message: null })
      if (step === 50) early.push(follow(runId, { instance: 1 }), follow(runId, { after: 20 }))
    }
    await finishRun(db, guard, outcome)
    const late = follow(runId, { instance: 1 })
    const all = await Promise.all([...early, late])
    const seqs = all.map((events) => events.map(({ seq }) => seq))
    expect(seqs).toEqual([seqsFrom(1, 103), seqsFrom(1, 103), seqsFrom(1, 103), seqsFrom(21, 83), seqsFrom(1, 103)])
  })

  it('loses and doubles nothing for a client that drops off and resumes on the other instance', async () => {
    const runId = await storeQueuedRun(db)
    const guard = await take(db, runId, await storeWorker(db))
    const writing = (async () => {
      for (let step = 1; step <= 60; step += 1) await appendProgress(db, guard, { fraction: step / 60, message: null })
      await finishRun(db, guard, outcome)
    })()
    const seen: SeenEvent[] = []
    for (let turn = 0; seen.at(-1)?.status !== 'SUCCEEDED'; turn += 1) {
      const stopAt = (seen.at(-1)?.seq ?? 0) + 7
      const after = seen.at(-1)?.seq ?? 0
      seen.push(...(await follow(runId, { after, instance: turn % 2, enough: ({ seq }) => seq >= stopAt })))
    }
    await writing
    expect(seen.map(({ seq }) => seq)).toEqual(seqsFrom(1, 63))
  })

  it('follows a retried run to its next end, and only whoever resumes sees it', async () => {
    const runId = await storeQueuedRun(db)
    await cancelRun(db, runId)
    expect((await follow(runId)).at(-1)?.status).toBe('CANCELED')
    await retryRun(db, runId)
    const resumed = follow(runId, { after: 2 })
    const guard = await take(db, runId, await storeWorker(db))
    await finishRun(db, guard, outcome)
    expect((await resumed).map(({ status, attempt }) => [status, attempt])).toEqual([
      ['QUEUED', 0],
      ['RUNNING', 1],
      ['SUCCEEDED', 1],
    ])
  })

  it.each(['00000000-0000-4000-8000-000000000000', 'no-id'])('of an unknown run (%s) is NOT_FOUND', async (runId) => {
    await expect(follow(runId)).rejects.toThrow(/NOT_FOUND/)
  })
})

describe('following a run', () => {
  const log = createLogger('api', 'silent')

  it('listens no more once the reader has gone, though nothing happens in the run', async () => {
    const notifications = await listenToRuns(url)
    let listeners = 0
    const counted = {
      ...notifications,
      onRun(runId: string, callback: () => void) {
        listeners += 1
        const stop = notifications.onRun(runId, callback)
        return () => {
          listeners -= 1
          stop()
        }
      },
    }
    const runId = await storeQueuedRun(db)
    const hour = 3_600_000
    const events = await followRun({ db, notifications: counted, log, lookEveryMs: hour }, runId, 0)
    expect((await events.next()).value?.seq).toBe(1)
    const waiting = events.next()
    expect(listeners).toBe(1)
    await events.return()
    expect(await waiting).toEqual({ done: true, value: undefined })
    expect(listeners).toBe(0)
    await notifications.close()
  })

  it('finds events whose notification was lost', async () => {
    const deaf = { onRun: () => () => undefined, close: async () => undefined }
    const runId = await storeQueuedRun(db)
    const events = await followRun({ db, notifications: deaf, log, lookEveryMs: 20 }, runId, 1)
    const next = events.next()
    await appendEvent(db, runId, { message: 'unheard' })
    expect((await next).value?.message).toBe('unheard')
    await events.return()
  })

  it('goes on after the database was away', async () => {
    const runId = await storeQueuedRun(db)
    let fail = true
    const findMany = db.runEvent.findMany.bind(db.runEvent)
    const flaky = new Proxy(db, {
      get(target, name) {
        if (name !== 'runEvent') return Reflect.get(target, name)
        return {
          findMany(args: Parameters<typeof findMany>[0]) {
            if (!fail) return findMany(args)
            fail = false
            throw new Error('connection lost')
          },
        }
      },
    })
    const notifications = await listenToRuns(url)
    const events = await followRun({ db: flaky, notifications, log, lookEveryMs: 20 }, runId, 0)
    expect((await events.next()).value?.seq).toBe(1)
    await events.return()
    await notifications.close()
  })
})
