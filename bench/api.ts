import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import type { ApiClient } from '../src/cli/client.ts'
import { startPostgres } from '../src/embedded/postgres.ts'
import { RunsDocument, type RunsQuery, StartBenchmarkDocument } from '../src/generated/operations.ts'
import { median } from '../src/stats/quantile.ts'
import { startRedis } from '../test/support/redis-server.ts'
import { type Figure, jsonFile, reportFigures } from './report.ts'
import { withService } from './service.ts'

// How soon a submitted run is at work, how soon its events reach a subscriber, and what reading costs among many runs.
// Everything goes through a whole service in a folder of its own: API, queue, worker and child.

const file = jsonFile()

const runsTimed = 15
const storedRuns = 10_000
const pagesTimed = 100
/** what the API gives where a client asks for none */
const pageLength = 20
const requestSeconds = 5
const requestsAtOnce = 16

const targets = {
  enqueue_to_running_ms: { least: null, most: 60 },
  event_delivery_ms: { least: null, most: 30 },
  enqueue_to_running_redis_ms: { least: null, most: 30 },
  event_delivery_redis_ms: { least: null, most: 30 },
  runs_page_ms: { least: null, most: 20 },
}

/** One layer of 64: the model is not what is measured. */
const overrides = { n_layer: 1, n_head: 1, n_embd: 64, n_positions: 64, vocab_size: 256 }
const input = {
  subjects: [{ source: { synthetic: { preset: 'gpt2', overrides } } }],
  tests: [{ promptTokens: 4 }, { generatedTokens: 2 }],
  blocks: 3,
}

/** Lets `work` use a Redis of its own, and leaves nothing behind; null where redis-server is not on PATH. */
async function withRedis<T>(work: (url: string) => Promise<T>): Promise<T | null> {
  const folder = mkdtempSync(join(tmpdir(), 'kvscope-bench-redis-'))
  try {
    const redis = await startRedis(folder)
    if (redis === null) return null
    try {
      return await work(redis.url)
    } finally {
      await redis.stop()
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/**
 * Runs one run after the other and follows each. QUEUED to RUNNING is by the database's clock, which stamps both events;
 * delivery is from that stamp to the client's reading of it on the same machine, of events that came while it listened.
 */
async function timeRuns(client: ApiClient): Promise<{ toRunning: number; delivery: number; runId: string }> {
  console.log(`${runsTimed} runs one after the other ...`)
  const toRunning: number[] = []
  const delivery: number[] = []
  let runId = ''
  // The first run starts everything there is to start.
  for (let count = -1; count < runsTimed; count++) {
    runId = (await client.request(StartBenchmarkDocument, { input })).startBenchmark.run.id
    const listening = Date.now()
    let queued = 0
    for await (const { at, status } of client.follow(runId)) {
      const received = Date.now()
      const stored = Date.parse(at)
      if (status === 'QUEUED') queued = stored
      if (count < 0) continue
      if (status === 'RUNNING') toRunning.push(stored - queued)
      if (stored > listening) delivery.push(received - stored)
    }
  }
  return { toRunning: median(toRunning), delivery: median(delivery), runId }
}

/** Copies a finished run with all that belongs to it until there are `storedRuns`, each a second older than the last. */
async function fill(dataDir: string, runId: string): Promise<void> {
  console.log(`filling up to ${storedRuns} runs ...`)
  const postgres = await startPostgres(dataDir)
  const client = new pg.Client({ connectionString: postgres.url })
  await client.connect()
  const copy = (table: string, changed: string) =>
    client.query(`INSERT INTO "${table}" SELECT (jsonb_populate_record(original, ${changed})).*
      FROM "${table}" AS original, copies WHERE original."runId" = '${runId}'`)
  try {
    await client.query(`CREATE TEMP TABLE copies AS
      SELECT gen_random_uuid() AS id, n FROM generate_series(1, ${storedRuns} - (SELECT count(*) FROM "Run")) AS n`)
    await client.query(`INSERT INTO "Run" SELECT (jsonb_populate_record(original, jsonb_build_object('id', copies.id,
        'queuedAt', original."queuedAt" - copies.n * interval '1 second', 'idempotencyKey', NULL))).*
      FROM "Run" AS original, copies WHERE original.id = '${runId}'`)
    for (const table of ['Subject', 'RunLabel', 'RunEvent']) await copy(table, `jsonb_build_object('runId', copies.id)`)
    const next = `nextval(pg_get_serial_sequence('"Series"', 'id'))`
    await copy('Series', `jsonb_build_object('runId', copies.id, 'id', ${next})`)
    await client.query('ANALYZE')
  } finally {
    await client.end()
    await postgres.stop()
  }
}

/** Pages of the usual length, with subjects, labels and key figure, one after the other from the newest on. */
async function timePages(client: ApiClient): Promise<number> {
  const times: number[] = []
  let after: string | null = null
  for (let page = -5; page < pagesTimed; page++) {
    const start = performance.now()
    const { runs }: RunsQuery = await client.request(RunsDocument, {
      first: pageLength,
      after,
      filter: {},
      orderBy: 'NEWEST',
    })
    if (page >= 0) times.push(performance.now() - start)
    if (runs.nodes.length !== pageLength) throw new Error(`page ${page} has ${runs.nodes.length} runs`)
    after = runs.pageInfo.endCursor
  }
  return median(times)
}

/** Small queries answered in a second, sixteen under way at any time. */
async function countRequests(client: ApiClient, runId: string): Promise<number> {
  const query = `query { run(id: "${runId}") { status fraction } }`
  const end = performance.now() + requestSeconds * 1000
  let answered = 0
  const ask = async () => {
    while (performance.now() < end) {
      await client.request<unknown, object>(query, {})
      answered++
    }
  }
  await Promise.all(Array.from({ length: requestsAtOnce }, ask))
  return answered / requestSeconds
}

const ms = (name: string, value: number): Figure => ({ name, value, unit: 'ms' })

const figures = await withService({}, async (client, { dataDir }) => {
  const { toRunning, delivery, runId } = await timeRuns(client)
  await fill(dataDir, runId)
  const page = ms('runs_page_ms', await timePages(client))
  const requests = { name: 'requests_per_s', value: await countRequests(client, runId), unit: '1/s' }
  return [ms('enqueue_to_running_ms', toRunning), ms('event_delivery_ms', delivery), page, requests]
})
const onRedis = await withRedis((url) => withService({ redisUrl: url }, timeRuns))
if (onRedis === null) console.log('No redis-server on PATH: the figures on Redis are left out.')
else {
  const { toRunning, delivery } = onRedis
  figures.push(ms('enqueue_to_running_redis_ms', toRunning), ms('event_delivery_redis_ms', delivery))
}
await reportFigures(figures, targets, file)
