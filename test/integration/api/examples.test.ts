import { createClient } from 'graphql-ws'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import WebSocket from 'ws'
import { fillExamples, newestIds, readExamples } from '../../../src/api/examples.ts'
import { connectDatabase } from '../../../src/db/client.ts'
import { createTestDatabase } from '../../support/test-database.ts'
import { startTestApi } from './api-under-test.ts'
import { countStatements } from './counted-statements.ts'
import { prompts, storeAttentionRun } from './stored-attention.ts'
import { storeFailedRun, storeFinishedRun, storeQueuedRun } from './stored-runs.ts'
import { storeSlicedRun } from './stored-slices.ts'

const url = await createTestDatabase()
const db = connectDatabase(url)
const api = await startTestApi(url)
const examples = await readExamples()

async function storeSome(): Promise<void> {
  await storeAttentionRun(db, { prompts: [prompts.short], layers: [11] })
  await storeFinishedRun(db)
  await storeFailedRun(db)
  await storeSlicedRun(db)
  await storeQueuedRun(db)
}

/** Follows a run until its end, and returns the events' numbers. */
async function follow(query: string, variables: Record<string, unknown>): Promise<unknown[]> {
  const client = createClient({
    url: `${api.address.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    retryAttempts: 0,
  })
  const seqs: unknown[] = []
  for await (const { data } of client.iterate<{ runEvents: { seq: number } }>({ query, variables })) {
    seqs.push(data?.runEvents.seq)
  }
  await client.dispose()
  return seqs
}

/** Runs every saved example with the ids that the database now has, and returns how many statements each took. */
async function runAll(): Promise<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const { name } of examples) {
    const ids = await newestIds(db)
    // The newest run still waits, and a run is followed to its end.
    const isSubscription = examples.find((example) => example.name === name)?.query.includes('subscription')
    if (isSubscription) ids.NEWEST_RUN = await storeFinishedRun(db)
    const example = fillExamples(examples, ids).find((filled) => filled.name === name)
    if (!example) throw new Error(`no example ${name}`)
    const variables = example.variables === '' ? {} : JSON.parse(example.variables)
    const { statements } = await countStatements(async () => {
      if (isSubscription) return expect(await follow(example.query, variables)).toEqual([1, 2, 3])
      const { errors, status } = await api.request(example.query, variables)
      expect({ errors, status }, name).toEqual({ status: 200 })
    })
    counts[name] = statements.length
  }
  return counts
}

afterAll(() => db.close())

describe('every saved example', () => {
  let few: Record<string, number>
  beforeAll(async () => {
    await storeFinishedRun(db)
    await storeSome()
    few = await runAll()
  })

  it('works as it stands, in few statements', () => {
    expect(Object.keys(few)).toHaveLength(examples.length)
    for (const [name, count] of Object.entries(few)) expect(count, name).toBeLessThanOrEqual(6)
  })

  it('takes no more statements where the database holds more runs', async () => {
    for (let more = 0; more < 6; more += 1) await storeSome()
    expect(await runAll()).toEqual(few)
  })
})
