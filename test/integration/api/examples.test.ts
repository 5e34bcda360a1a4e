import { createClient } from 'graphql-ws'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import WebSocket from 'ws'
import { fillExamples, newestIds, readExamples } from '../../../src/api/examples.ts'
import { connectDatabase } from '../../../src/db/client.ts'
import { createTestDatabase } from '../../support/test-database.ts'
import { startTestApi } from './api-under-test.ts'
import { countStatements } from './counted-statements.ts'
import { storeFailedRun, storeFinishedRun, storeQueuedRun } from './stored-runs.ts'

const url = await createTestDatabase()
const db = connectDatabase(url)
const api = await startTestApi(url)
const examples = await readExamples()

/** Statements on kvscope's own tables: the queue's go on by themselves. */
const own = (statements: string[]) =>
  statements.filter((text) => /"(Run|RunLabel|RunEvent|Subject|Series|Worker)"/.test(text))

async function storeSome(): Promise<void> {
  await storeFinishedRun(db)
  await storeFailedRun(db)
  await storeQueuedRun(db)
}

/** Runs every saved example with the ids that the database now has, and returns how many statements each took. */
async function runAll(): Promise<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const { name } of examples) {
    const ids = await newestIds(db)
    const example = fillExamples(examples, ids).find((filled) => filled.name === name)
    if (!example) throw new Error(`no example ${name}`)
    const variables = example.variables === '' ? {} : JSON.parse(example.variables)
    if (example.query.includes('subscription')) continue
    const { result, statements } = await countStatements(() => api.request(example.query, variables))
    expect(result.errors, name).toBeUndefined()
    expect(result.status, name).toBe(200)
    counts[name] = own(statements).length
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
    expect(Object.keys(few)).toHaveLength(examples.length - 1)
    for (const [name, count] of Object.entries(few)) expect(count, name).toBeLessThanOrEqual(6)
  })

  it('takes no more statements where the database holds more runs', async () => {
    for (let more = 0; more < 6; more += 1) await storeSome()
    expect(await runAll()).toEqual(few)
  })

  it('follows a run by subscription', async () => {
    const example = fillExamples(examples, { NEWEST_RUN: await storeFinishedRun(db) }).find(({ query }) =>
      query.includes('subscription'),
    )
    const client = createClient({
      url: `${api.address.replace('http', 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      retryAttempts: 0,
    })
    const seqs: unknown[] = []
    const events = client.iterate<{ runEvents: { seq: number } }>({
      query: example?.query ?? '',
      variables: JSON.parse(example?.variables ?? ''),
    })
    for await (const { data } of events) seqs.push(data?.runEvents.seq)
    await client.dispose()
    expect(seqs).toEqual([1, 2, 3])
  })
})
