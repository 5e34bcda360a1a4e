import { createClient } from 'graphql-ws'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import WebSocket from 'ws'
import { newestExampleValues } from '../../../src/api/example-values.ts'
import { fillExamples, readExamples, type SavedExample } from '../../../src/api/examples.ts'
import { auditLecture } from '../../../src/architecture/lecture-claims.ts'
import { connectDatabase } from '../../../src/db/client.ts'
import { createTestDatabase } from '../../support/test-database.ts'
import { type ApiUnderTest, at, startTestApi } from './api-under-test.ts'
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
async function follow(address: string, query: string, variables: Record<string, unknown>): Promise<unknown[]> {
  const client = createClient({
    url: `${address.replace('http', 'ws')}/graphql`,
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

/** Carries an example out, and fails on any error. */
async function runExample(of: ApiUnderTest, { name, query, variables: text }: SavedExample): Promise<void> {
  const variables = text === '' ? {} : JSON.parse(text)
  if (query.includes('subscription')) return expect(await follow(of.address, query, variables), name).toEqual([1, 2, 3])
  const { errors, status, data } = await of.request(query, variables)
  expect({ errors, status }, name).toEqual({ status: 200 })
  expect(data, name).toBeTypeOf('object')
}

/** Runs every saved example with the ids that the database now has, and returns how many statements each took. */
async function runAll(): Promise<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const { name } of examples) {
    const values = await newestExampleValues(db)
    // The newest run still waits, and a run is followed to its end.
    const isSubscription = examples.find((example) => example.name === name)?.query.includes('subscription')
    if (isSubscription) values.NEWEST_RUN = await storeFinishedRun(db)
    const example = fillExamples(examples, values).find((filled) => filled.name === name)
    if (!example) throw new Error(`no example ${name}`)
    const { statements } = await countStatements(() => runExample(api, example))
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

describe('the examples of a page opened on a fresh demo database', async () => {
  const demoUrl = await createTestDatabase()
  const demoDb = connectDatabase(demoUrl)
  const demoApi = await startTestApi(demoUrl)
  afterAll(() => demoDb.close())
  let page: SavedExample[]

  // As `kvscope demo` leaves it: one benchmark, and each model's slices and maps; nothing failed, nothing waits.
  beforeAll(async () => {
    await storeSlicedRun(demoDb)
    await storeAttentionRun(demoDb, { prompts: [prompts.short], layers: [11] })
    await storeFinishedRun(demoDb)
    page = fillExamples(examples, await newestExampleValues(demoDb))
  })

  it.each(examples.map(({ name }) => name))('%s works as it stands', async (name) => {
    const example = page.find((filled) => filled.name === name)
    if (!example) throw new Error(`no example ${name}`)
    await runExample(demoApi, example)
  })

  it('shows with them what is there: a trend with its point, the run against itself, one pruning that drops nothing', async () => {
    const answer = async (name: string) => {
      const example = page.find((filled) => filled.name === name)
      return demoApi.request(example?.query ?? '', JSON.parse(example?.variables || '{}'))
    }
    expect(at(await answer('30-trend'), 'trend.points')).toHaveLength(1)
    expect(at(await answer('09-compare-runs'), 'compareRuns.rows')).not.toHaveLength(0)
    expect(at(await answer('19-attention-maps-run'), 'run.maps')).toHaveLength(2)
    expect(at(await answer('32-prune-runs'), 'pruneRuns.deleted')).toBe(0)
    expect(at(await answer('33-lecture-audit'), 'lectureAudit')).toHaveLength(auditLecture().length)
  })
})
