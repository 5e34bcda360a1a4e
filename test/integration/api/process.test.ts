import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createClient } from 'graphql-ws'
import { afterEach, describe, expect, it } from 'vitest'
import WebSocket from 'ws'
import { connectDatabase } from '../../../src/db/client.ts'
import { compiledFile } from '../../../src/package-folder.ts'
import { killNow, until } from '../../support/processes.ts'
import { createTestDatabase } from '../../support/test-database.ts'
import { request } from './api-under-test.ts'
import { storeQueuedRun } from './stored-runs.ts'

const entry = compiledFile('src/api/main.ts')
const secret = 'only-ann-knows-this'
const children: ChildProcess[] = []
afterEach(() => Promise.all(children.splice(0).map(killNow)))

interface Started {
  child: ChildProcess
  /** what it has logged so far */
  log(): string
}

function start(environment: Record<string, string>): Started {
  const child = spawn(process.execPath, [entry], {
    env: { ...process.env, PORT: '0', ...environment },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  children.push(child)
  let text = ''
  child.stderr.on('data', (chunk) => {
    text += chunk
  })
  return { child, log: () => text }
}

async function addressOf({ child, log }: Started): Promise<string> {
  const found = () => /"address":"(http:[^"]+)"/.exec(log())?.[1]
  await until('the API listens', () => {
    if (child.exitCode !== null) throw new Error(log())
    return found() !== undefined
  })
  return found() ?? ''
}

describe('the API as a process', () => {
  it('brings an empty database to the schema, also when two start at once', async () => {
    const url = await createTestDatabase({ empty: true })
    const both = [start({ DATABASE_URL: url }), start({ DATABASE_URL: url })]
    for (const address of await Promise.all(both.map(addressOf))) {
      expect((await request(address, '{ runs { totalCount } }')).data).toEqual({ runs: { totalCount: 0 } })
    }
  })

  it.each(['SIGTERM', 'SIGINT'] as const)('ends in order on %s, though a client follows a run', async (signal) => {
    const url = await createTestDatabase()
    const started = start({ DATABASE_URL: url })
    const address = await addressOf(started)
    const db = connectDatabase(url)
    const client = createClient({
      url: `${address.replace('http', 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      retryAttempts: 0,
    })
    const query = 'subscription ($runId: ID!) { runEvents(runId: $runId) { seq } }'
    const events = client.iterate({ query, variables: { runId: await storeQueuedRun(db) } })
    await events.next()
    const cut = events.next().catch((error: unknown) => error)
    const exit = once(started.child, 'exit')
    started.child.kill(signal)
    expect(await exit).toEqual([0, null])
    expect(await cut).toMatchObject({ code: 1001 })
    await client.dispose()
    await db.close()
  })

  it('never logs a secret, even at its most talkative', async () => {
    const url = new URL(await createTestDatabase())
    url.searchParams.set('application_name', 'the-databases-secret')
    const started = start({
      DATABASE_URL: url.href,
      KVSCOPE_TOKENS: `ann:${secret}`,
      KVSCOPE_LOG_LEVEL: 'trace',
    })
    const address = await addressOf(started)
    await request(address, '{ health { ok } }', {}, { authorization: `Bearer ${secret}` })
    await request(address, '{ health { ok } }', {}, { authorization: 'Bearer a-wrong-secret' })
    await until('the requests are logged', () => started.log().includes('"status":401'))
    expect(started.log()).toContain('"status":200')
    for (const hidden of [secret, 'a-wrong-secret', 'the-databases-secret']) expect(started.log()).not.toContain(hidden)
  })

  it('says what to set where it has no database', async () => {
    const started = start({ DATABASE_URL: '' })
    expect(await once(started.child, 'exit')).toEqual([1, null])
    expect(started.log()).toContain('DATABASE_URL')
  })
})
