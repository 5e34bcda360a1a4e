import pg from 'pg'
import type { ApiClient } from '../src/cli/client.ts'
import { startPostgres } from '../src/embedded/postgres.ts'
import {
  CompareRunsDocument,
  RunsDocument,
  type RunsQuery,
  type RunsQueryVariables,
  SetBaselineDocument,
  StartBenchmarkDocument,
  TrendOfDocument,
} from '../src/generated/operations.ts'
import { median } from '../src/stats/quantile.ts'
import { fillHistory } from './history-rows.ts'
import { jsonFile, printTable, reportFigures } from './report.ts'
import { withService } from './service.ts'

// What asking costs over a year of 100,000 runs, filled in as bench/history-rows.ts says. Every request goes over HTTP to
// the API of a whole service in a folder of its own, with the operations that the command line sends.

const file = jsonFile()

const storedRuns = 100_000
const warmUps = 20
const timed = 25
/** what the API gives where a client asks for none */
const pageLength = 20

const targets = {
  runs_page_ms: { least: null, most: 20 },
  filtered_page_ms: { least: null, most: 50 },
  compare_ms: { least: null, most: 50 },
  trend_ms: { least: null, most: 200 },
}

type Asked = Pick<RunsQueryVariables, 'filter' | 'orderBy'>

/** The template of all rows: a run as a worker leaves it, of a model that takes no time. */
async function makeRun(client: ApiClient): Promise<string> {
  const overrides = { n_layer: 1, n_head: 2, n_embd: 64, n_positions: 64, vocab_size: 256 }
  const source = { synthetic: { preset: 'gpt2', overrides } }
  const input = {
    subjects: [{ source }, { source, convert: { kvHeads: 1 } }],
    tests: [{ promptTokens: 4 }, { generatedTokens: 2 }],
    blocks: 3,
  }
  const { run } = (await client.request(StartBenchmarkDocument, { input })).startBenchmark
  for await (const { status } of client.follow(run.id)) {
    if (status === 'FAILED') throw new Error(`run ${run.id}, from which all others are made, failed`)
  }
  return run.id
}

async function withDatabase<T>(dataDir: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const postgres = await startPostgres(dataDir)
  const client = new pg.Client({ connectionString: postgres.url })
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
    await postgres.stop()
  }
}

/** MB (10^6 bytes) of tables and indexes, a thousand runs. */
async function measureSize(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ mb: number }>(`SELECT sum(pg_total_relation_size(oid))::float8 / 1e6
      / (SELECT count(*) FROM "Run") * 1000 AS mb
    FROM pg_class WHERE relname IN ('Run', 'RunLabel', 'Subject', 'RunEvent', 'Series') AND relkind = 'r'`)
  return rows[0]?.mb ?? Number.NaN
}

/** The median time of `timed` requests, after some that are not timed. */
async function time(ask: (count: number) => Promise<void>): Promise<number> {
  const times: number[] = []
  for (let count = -warmUps; count < timed; count++) {
    const start = performance.now()
    await ask(count + warmUps)
    if (count >= 0) times.push(performance.now() - start)
  }
  return median(times)
}

/** Page after page, from the first again where there is no more. */
function timePages(client: ApiClient, asked: Asked, fewest: number): Promise<number> {
  let after: string | null = null
  return time(async () => {
    const { runs }: RunsQuery = await client.request(RunsDocument, { first: pageLength, after, ...asked })
    if (after === null && runs.nodes.length < fewest) {
      throw new Error(`${JSON.stringify(asked)} finds ${runs.nodes.length} runs, not ${fewest}`)
    }
    after = runs.pageInfo.hasNextPage ? (runs.pageInfo.endCursor ?? null) : null
  })
}

/** Frequent and rare, new and old, found by an index of their own or by none. */
function filtersOf(commit: string): [name: string, fewest: number, Asked][] {
  const labels = (key: string, value: string) => ({ labels: [{ key, value }] })
  return [
    ['branch=main', pageLength, { filter: labels('branch', 'main'), orderBy: 'NEWEST' }],
    ['a branch', pageLength, { filter: labels('branch', 'feature-7'), orderBy: 'OLDEST' }],
    ['a commit of last spring', 1, { filter: labels('commit', commit), orderBy: 'NEWEST' }],
    ['a model', pageLength, { filter: { model: 'gpt2-medium' }, orderBy: 'NEWEST' }],
    ['the fastest of the slowest model', pageLength, { filter: { model: 'llama-3b' }, orderBy: 'FASTEST' }],
    ['GQA with 4 heads', pageLength, { filter: { attentionKind: 'GQA', kvHeads: 4 }, orderBy: 'NEWEST' }],
    ['MHA with 4 heads: none', 0, { filter: { attentionKind: 'MHA', kvHeads: 4 }, orderBy: 'SLOWEST' }],
    ['failed on a machine', pageLength, { filter: { status: ['FAILED'], hostname: 'bench-3' }, orderBy: 'NEWEST' }],
    ['text of many notes', pageLength, { filter: { text: 'nightly' }, orderBy: 'NEWEST' }],
    ['text of a subject', pageLength, { filter: { text: 'xl-kv2' }, orderBy: 'SLOWEST' }],
    ['text that nothing has', 0, { filter: { text: 'no such words' }, orderBy: 'NEWEST' }],
  ]
}

async function timeFilters(client: ApiClient, commit: string): Promise<number> {
  const rows: [string, number][] = []
  for (const [name, fewest, asked] of filtersOf(commit)) rows.push([name, await timePages(client, asked, fewest)])
  printTable(
    ['filter', 'ms'],
    rows.map(([name, ms]) => [name, ms.toFixed(1)]),
  )
  return Math.max(...rows.map(([, ms]) => ms))
}

/** Two runs of the same suite, the baseline by its name: eight rows, each with its ratio, interval and verdict. */
async function timeComparisons(client: ApiClient): Promise<number> {
  const filter = { model: 'gpt2', status: ['SUCCEEDED' as const], hostname: 'bench-1', device: 'CPU' as const }
  const { runs } = await client.request(RunsDocument, { first: 40, filter, orderBy: 'NEWEST' })
  const [newest, ...others] = runs.nodes.map(({ id }) => id)
  if (newest === undefined || others.length === 0) throw new Error('there are no two runs to compare')
  await client.request(SetBaselineDocument, { name: 'main', runId: newest })
  return time(async (count) => {
    const candidate = others[count % others.length] ?? newest
    const input = { baseline: { name: 'main' }, candidates: [candidate] }
    const { compareRuns } = await client.request(CompareRunsDocument, { input })
    const compared = compareRuns.__typename === 'BenchmarkComparison' ? compareRuns.rows.length : 0
    if (compared !== 8) throw new Error(`${compared} series were compared, not 8`)
  })
}

/** 500 runs, with the slowdown that was planted among them. */
function timeTrend(client: ApiClient): Promise<number> {
  const input = { subject: 'gpt2', phase: 'DECODE' as const, test: 'tg128 @ d4096', limit: 500 }
  return time(async () => {
    const { trend } = await client.request(TrendOfDocument, { input })
    if (trend.points.length + trend.excluded !== input.limit) throw new Error('the trend has not looked at 500 runs')
    if (!trend.changes.some(({ ratio }) => Math.abs(ratio - 1.08) < 0.02)) throw new Error('the slowdown was not found')
  })
}

const ms = (name: string, value: number) => ({ name, value, unit: 'ms' })

const figures = await withService({}, async (client, { dataDir }) => {
  const template = await makeRun(client)
  console.log(`filling up to ${storedRuns} runs ...`)
  const start = performance.now()
  const { size, commit } = await withDatabase(dataDir, async (database) => {
    await fillHistory(database, template, storedRuns - 1)
    const { rows } = await database.query<{ value: string }>(`SELECT value FROM "RunLabel" AS label JOIN "Run" AS run
      ON run.id = label."runId" WHERE key = 'commit' AND "queuedAt" < now() - interval '200 days' LIMIT 1`)
    return { size: await measureSize(database), commit: rows[0]?.value ?? '' }
  })
  console.log(`filled in ${((performance.now() - start) / 1000).toFixed(0)} s`)
  const page = await timePages(client, { filter: {}, orderBy: 'NEWEST' }, pageLength)
  const filtered = await timeFilters(client, commit)
  const compare = await timeComparisons(client)
  const trend = await timeTrend(client)
  return [
    ms('runs_page_ms', page),
    ms('filtered_page_ms', filtered),
    ms('compare_ms', compare),
    ms('trend_ms', trend),
    { name: 'database_mb_per_1000_runs', value: size, unit: 'MB' },
  ]
})
console.log('\nfiltered_page_ms is the slowest of the filters; times are medians.')
await reportFigures(figures, targets, file)
