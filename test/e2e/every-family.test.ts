import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { z } from 'zod'
import { readConfig } from '../../src/config.ts'
import { at, startTestApi, textAt } from '../integration/api/api-under-test.ts'
import { runCommand } from '../support/command-line.ts'
import { startTestHub, type TestHub } from '../support/hub-server.ts'
import { until } from '../support/processes.ts'
import { createTestDatabase } from '../support/test-database.ts'
import { writeByteTokenizer } from '../support/tiny-checkpoint.ts'
import { startTestWorker } from '../support/workers.ts'

/** Processes start slowly on a busy machine. */
vi.setConfig({ testTimeout: 120_000 })

const golden = resolve(import.meta.dirname, '../golden')
const casesFile = z.object({ cases: z.array(z.object({ model: z.string() })).min(1) })
/** One checkpoint of each family that has goldens, as `FAMILY/CASE`. */
const checkpoints = readdirSync(golden, { withFileTypes: true }).flatMap((entry) => {
  if (!entry.isDirectory()) return []
  const { cases } = casesFile.parse(JSON.parse(readFileSync(join(golden, entry.name, 'cases.json'), 'utf8')))
  return cases.slice(0, 1).map(({ model }) => `${entry.name}/${model}`)
})

const root = mkdtempSync(join(tmpdir(), 'kvscope-families-'))
let hub: TestHub
let api: Awaited<ReturnType<typeof startTestApi>>
afterAll(() => rmSync(root, { recursive: true, force: true }))
afterAll(() => hub.close())

beforeAll(async () => {
  hub = await startTestHub()
  for (const name of checkpoints) hub.pushFolder(name, join(golden, name))
  const databaseUrl = await createTestDatabase()
  const variables = {
    HF_ENDPOINT: hub.url,
    HF_HOME: root,
    HF_HUB_CACHE: join(root, 'cache'),
    KVSCOPE_MODEL_ROOTS: golden,
  }
  api = await startTestApi(databaseUrl, variables)
  const { hub: settings, modelRoots } = readConfig(variables)
  const config = { redisUrl: null, dataDir: join(root, 'data'), modelRoots, hub: settings }
  await startTestWorker({ databaseUrl, queuePrefix: 'kvscope', config })
})

/** Starts a run through the API and waits until it has succeeded. */
async function finished(mutation: string, input: object): Promise<string> {
  const name = mutation.charAt(0).toUpperCase() + mutation.slice(1)
  const document = `mutation ($input: ${name}Input!) { ${mutation}(input: $input) { run { id } } }`
  const id = textAt(await api.request(document, { input }), `${mutation}.run.id`)
  const query = 'query ($id: ID!) { run(id: $id) { status error { code message } } }'
  let seen: unknown
  await until(`${mutation} of ${JSON.stringify(input)} has ended`, async () => {
    seen = at(await api.request(query, { id }), 'run')
    return !['QUEUED', 'RUNNING'].includes(Object(seen).status)
  })
  expect(seen).toEqual({ status: 'SUCCEEDED', error: null })
  return id
}

const described = `query ($source: ModelSourceInput!) {
  model(source: $source) { family attentionKind layers heads kvHeads parameters kvBytesPerToken }
  kvCache(input: { source: $source, contextLength: 100 }) { kind bytes bytesPerToken }
}`

const sourcesOf = (name: string) => ({ local: { local: { path: join(golden, name) } }, hub: { hub: { repo: name } } })

describe.each(checkpoints)('%s, of a folder and of the hub', (name) => {
  const sources = sourcesOf(name)

  it('is described alike, the hub model by its headers', async () => {
    const answers = await Promise.all(Object.values(sources).map((source) => api.request(described, { source })))
    for (const { errors } of answers) expect(errors).toBeUndefined()
    expect(answers[1]?.data).toEqual(answers[0]?.data)
  })

  it('continues a text', async () => {
    const folder = join(root, 'read', name)
    cpSync(join(golden, name), folder, { recursive: true })
    writeByteTokenizer(folder, 67)
    const args = ['generate', '--model', folder, '--prompt', '1 + 2 =', '--tokens', '5', '--json']
    const { code, stdout, stderr } = await runCommand(args, join(root, 'data'))
    expect([code, stderr]).toEqual([0, ''])
    expect(JSON.parse(stdout)).toMatchObject({ text: expect.any(String) })
  })

  it('shows its matrices and its maps', async () => {
    const subject = { source: sources.hub, threads: 1 }
    const kind = textAt(await api.request(described, { source: sources.hub }), 'model.attentionKind')
    const projections = kind === 'MLA' ? ['DKV', 'UK', 'UV', 'QUK', 'UVO'] : ['Q', 'K', 'V', 'O']
    const slices = await finished('startWeightSlices', { subject, projections, layers: [0], rows: 4 })
    const tokenIds = [1, 2, 3, 4, 5, 6, 7]
    const maps = await finished('startAttentionMaps', { subject, tokenIds, layers: [1], baselines: false })
    const query = `query ($slices: ID!, $maps: ID!) {
      slices: run(id: $slices) { ... on WeightSlicesRun { slices(first: 100) { totalCount } } }
      maps: run(id: $maps) { ... on AttentionMapsRun { maps(layer: 1) { values } } } }`
    const answer = await api.request(query, { slices, maps })
    expect(answer.errors).toBeUndefined()
    expect(at(answer, 'slices.slices.totalCount')).toBeGreaterThan(1)
    for (const { values } of z
      .array(z.object({ values: z.array(z.array(z.number())) }))
      .parse(at(answer, 'maps.maps'))) {
      expect(values).toHaveLength(tokenIds.length)
      for (const row of values) expect(row.reduce((sum, value) => sum + value, 0)).toBeCloseTo(1, 3)
    }
  })
})

/** As many as one run takes, from a folder and from the hub each. */
const together = Array.from({ length: Math.ceil(checkpoints.length / 8) }, (_, part) => ({
  names: checkpoints.slice(8 * part, 8 * part + 8),
}))
const measured = z.array(
  z.object({
    phase: z.string(),
    kvCacheBytes: z.number().nullable(),
    kvCacheBytesPredicted: z.number().nullable(),
    subject: z.object({ name: z.string(), fingerprint: z.string() }),
  }),
)

describe.each(together)('$names', ({ names }) => {
  it('are timed, their caches as the formula says, and are the same from the hub', async () => {
    const subjects = names.flatMap((name) =>
      Object.entries(sourcesOf(name)).map(([from, source]) => ({ name: `${from} ${name}`, source, threads: 1 })),
    )
    const tests = [{ promptTokens: 4 }, { generatedTokens: 2, depth: 8 }]
    const id = await finished('startBenchmark', { subjects, tests, blocks: 1 })
    const query = `query ($id: ID!) { run(id: $id) { ... on BenchmarkRun {
      series { phase kvCacheBytes kvCacheBytesPredicted subject { name fingerprint } } } } }`
    const series = measured.parse(at(await api.request(query, { id }), 'run.series'))
    for (const name of names) {
      const decodes = series.filter(({ phase, subject }) => phase === 'DECODE' && subject.name.endsWith(` ${name}`))
      expect(decodes).toHaveLength(2)
      for (const one of decodes) {
        expect(one.kvCacheBytes).toBeGreaterThan(0)
        expect(one.kvCacheBytes).toBe(one.kvCacheBytesPredicted)
      }
      expect(new Set(decodes.map(({ subject }) => subject.fingerprint)).size).toBe(1)
    }
  })
})
