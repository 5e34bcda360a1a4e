import { type Client, createClient } from 'graphql-ws'
import { afterAll, describe, expect, it } from 'vitest'
import WebSocket from 'ws'
import { requestLimits } from '../../../src/api/limits.ts'
import { connectDatabase } from '../../../src/db/client.ts'
import { createTestDatabase } from '../../support/test-database.ts'
import { type ApiUnderTest, startTestApi } from './api-under-test.ts'
import { rawRequest } from './raw-http.ts'
import { storeFinishedRun, storeQueuedRun } from './stored-runs.ts'

const secret = 'only-ann-knows-this'
const url = await createTestDatabase()
const db = connectDatabase(url)
const open = await startTestApi(url)
const guarded = await startTestApi(url, { KVSCOPE_TOKENS: `ann:${secret}` })
afterAll(() => db.close())

const runId = await storeFinishedRun(db)
const socketOf = (api: ApiUnderTest) => `${api.address.replace('http', 'ws')}/graphql`
const upgrade = {
  connection: 'Upgrade',
  upgrade: 'websocket',
  'sec-websocket-version': '13',
  'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
  'sec-websocket-protocol': 'graphql-transport-ws',
}

function connect(api: ApiUnderTest, connectionParams?: Record<string, unknown>): Client {
  return createClient({
    url: socketOf(api),
    webSocketImpl: WebSocket,
    retryAttempts: 0,
    ...(connectionParams && { connectionParams }),
  })
}

/** The first thing that comes back: a result, or the errors or close event that the client throws. */
async function firstAnswer(client: Client, query: string, variables: Record<string, unknown> = {}): Promise<unknown> {
  try {
    for await (const result of client.iterate({ query, variables })) return result
    return null
  } catch (error) {
    return error
  } finally {
    await client.dispose()
  }
}

const events = 'subscription ($runId: ID!) { runEvents(runId: $runId) { seq } }'

describe('a WebSocket', () => {
  it.each([
    ["another site's page", { origin: 'http://evil.example' }],
    ['a page without an origin', { origin: 'null' }],
    ['a rebound name', { host: 'rebound.example' }],
    ['a rebound name with its own page', { host: 'rebound.example', origin: 'http://rebound.example' }],
  ])('is refused to %s', async (_who, headers) => {
    const answer = await rawRequest(open.port, { path: '/graphql', headers: { ...upgrade, ...headers } })
    expect(answer.status).toBe(403)
  })

  it('is opened to our own page and to a client without a page', async () => {
    const own = { ...upgrade, origin: open.address }
    expect((await rawRequest(open.port, { path: '/graphql', headers: own })).status).toBe(101)
    expect((await rawRequest(open.port, { path: '/graphql', headers: upgrade })).status).toBe(101)
  })

  it('is opened at /graphql only', async () => {
    expect((await rawRequest(open.port, { path: '/elsewhere', headers: upgrade })).status).toBe(404)
  })

  it.each(['query { health { ok } }', 'mutation { deleteRun(id: "x") { deletedId } }'])('refuses %s', async (query) => {
    expect(await firstAnswer(connect(open), query)).toEqual([
      expect.objectContaining({
        message: expect.stringContaining('only subscriptions'),
        extensions: expect.objectContaining({ code: 'VALIDATION_FAILED', hint: expect.stringContaining('HTTP') }),
      }),
    ])
  })

  it('answers faulty documents and variables with VALIDATION_FAILED', async () => {
    for (const [query, variables] of [
      ['subscription { ', {}],
      ['subscription { nothing }', {}],
      [events, {}],
      [events, { runId: [] }],
    ] as const) {
      const answer = await firstAnswer(connect(open), query, variables)
      expect(JSON.stringify(answer), query).toContain('VALIDATION_FAILED')
    }
  })

  it('carries only so many subscriptions at once', async () => {
    const waiting = await storeQueuedRun(db)
    const client = connect(open)
    const asked = Array.from({ length: requestLimits.subscriptionsPerSocket + 1 }, () =>
      client.iterate({ query: events, variables: { runId: waiting } }),
    )
    const answers = await Promise.all(asked.map((iterator) => iterator.next().catch((error: unknown) => error)))
    expect(answers.filter((answer) => JSON.stringify(answer).includes('LIMIT_EXCEEDED'))).toHaveLength(1)
    await client.dispose()
  })
})

describe('a WebSocket where tokens are configured', () => {
  it.each([{ authorization: `Bearer ${secret}` }, { token: secret }])(
    'follows with connectionParams %o',
    async (params) => {
      expect(await firstAnswer(connect(guarded, params), events, { runId })).toEqual({
        data: { runEvents: { seq: 1 } },
      })
    },
  )

  it.each([undefined, {}, { token: 'wrong' }, { authorization: secret }])(
    'is closed as UNAUTHENTICATED with %o',
    async (params) => {
      const closed = await firstAnswer(connect(guarded, params), events, { runId })
      expect(closed).toMatchObject({ code: 4401, reason: expect.stringContaining('UNAUTHENTICATED') })
    },
  )
})

describe('closing an instance', () => {
  it('ends its subscriptions at once', async () => {
    const closing = await startTestApi(url)
    const client = connect(closing)
    const iterator = client.iterate({ query: events, variables: { runId: await storeQueuedRun(db) } })
    await iterator.next()
    const cut = iterator.next().catch((error: unknown) => error)
    await closing.close()
    expect(await cut).toMatchObject({ code: 1001 })
    await client.dispose()
  })
})
