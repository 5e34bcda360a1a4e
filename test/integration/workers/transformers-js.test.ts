import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { writeExportedCheckpoint } from '../../support/exported-checkpoint.ts'
import { until } from '../../support/processes.ts'
import { createTestDatabase } from '../../support/test-database.ts'
import { startTestWorker, type TestWorker } from '../../support/workers.ts'
import { type ApiUnderTest, at, codeOf, startTestApi, textAt } from '../api/api-under-test.ts'

/** Processes start slowly on a busy machine. */
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

const root = mkdtempSync(join(tmpdir(), 'kvscope-peer-runs-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

const startBenchmark = 'mutation ($input: StartBenchmarkInput!) { startBenchmark(input: $input) { run { id } } }'
const startSlices = 'mutation ($input: StartWeightSlicesInput!) { startWeightSlices(input: $input) { run { id } } }'
const startMaps = 'mutation ($input: StartAttentionMapsInput!) { startAttentionMaps(input: $input) { run { id } } }'
const subjects = 'subjects { name runtime dtype computeDtype kvDtype synthetic fingerprint }'

let api: ApiUnderTest
let worker: TestWorker
beforeAll(async () => {
  await writeExportedCheckpoint(join(root, 'tiny'))
  const databaseUrl = await createTestDatabase()
  api = await startTestApi(databaseUrl, { KVSCOPE_MODEL_ROOTS: root })
  worker = await startTestWorker({ databaseUrl, config: { dataDir: join(root, 'data'), modelRoots: [root] } })
})
afterAll(() => worker.terminate())

const tiny = { source: { local: { path: 'tiny' } }, threads: 1 }
const peer = { ...tiny, runtime: 'TRANSFORMERS_JS' }

async function finish(mutation: string, input: object, fields: string) {
  const started = await api.request(mutation, { input })
  const field = mutation.match(/\{ (\w+)\(/)?.[1] ?? ''
  const id = textAt(started, `${field}.run.id`)
  const query = `query ($id: ID!) { run(id: $id) { status error { code message } ${fields} } }`
  let answer = await api.request(query, { id })
  await until('the run ends', async () => {
    answer = await api.request(query, { id })
    return !['QUEUED', 'RUNNING'].includes(textAt(answer, 'run.status'))
  })
  expect(at(answer, 'run')).toMatchObject({ status: 'SUCCEEDED', error: null })
  return answer
}

describe('a run of both runtimes', () => {
  it('is asked for by GraphQL, executed by a worker, and says of each subject what ran it', async () => {
    const input = { subjects: [tiny, peer], tests: [{ generatedTokens: 2, depth: 6 }], blocks: 3 }
    const series = '... on BenchmarkRun { series { subject { name } phase kvCacheBytes kvCacheBytesPredicted } }'
    const answer = await finish(startBenchmark, input, `${subjects} ${series}`)
    expect(at(answer, 'run.subjects')).toMatchObject([
      { name: 'tiny', runtime: 'KVSCOPE', dtype: 'F32', kvDtype: 'F32', synthetic: false },
      { name: 'tiny-transformersjs', runtime: 'TRANSFORMERS_JS', dtype: 'F32', computeDtype: 'F32', kvDtype: 'F32' },
    ])
    const rows = at(answer, 'run.series')
    const bytes = 2 * 2 * 32 * 4 * 7
    expect(rows).toEqual(
      expect.arrayContaining([
        { subject: { name: 'tiny' }, phase: 'DECODE', kvCacheBytes: bytes, kvCacheBytesPredicted: bytes },
        {
          subject: { name: 'tiny-transformersjs' },
          phase: 'DECODE',
          kvCacheBytes: bytes,
          kvCacheBytesPredicted: bytes,
        },
      ]),
    )
  })

  it('reads slices and maps of rounded weights, and names them so', async () => {
    const halves = { ...tiny, dtype: 'F16' }
    const slices = await finish(
      startSlices,
      { subject: halves, rows: 4 },
      `${subjects} ... on WeightSlicesRun { slices(first: 1) { nodes { dtype } } }`,
    )
    expect(at(slices, 'run.subjects')).toMatchObject([{ name: 'tiny-f16', runtime: 'KVSCOPE', dtype: 'F16' }])
    expect(at(slices, 'run.slices.nodes')).toEqual([{ dtype: 'F16' }])
    const maps = await finish(startMaps, { subject: halves, prompts: ['the cat'] }, subjects)
    expect(at(maps, 'run.subjects')).toMatchObject([{ name: 'tiny-f16', dtype: 'F16', computeDtype: 'F32' }])
  })

  it.each([
    ['weights made from a seed', { source: { synthetic: { preset: 'gpt2' } }, runtime: 'TRANSFORMERS_JS' }],
    ['pooled heads', { ...peer, convert: { kvHeads: 1 } }],
  ])('is refused of %s, with what to do', async (_what, subject) => {
    const answer = await api.request(startBenchmark, { input: { subjects: [subject], tests: [{ promptTokens: 4 }] } })
    expect(codeOf(answer)).toBe('VALIDATION_FAILED')
    expect(answer.errors?.[0]?.message).toContain('runtime KVSCOPE')
  })

  it('is refused on a device where its cache cannot be measured', async () => {
    const subject = { ...peer, device: 'WEBGPU' }
    const answer = await api.request(startBenchmark, { input: { subjects: [subject], tests: [{ promptTokens: 4 }] } })
    expect(codeOf(answer)).toBe('CONFIG_UNSUPPORTED')
  })

  it('is refused for heads, which an export does not give', async () => {
    expect(codeOf(await api.request(startSlices, { input: { subject: peer } }))).toBe('VALIDATION_FAILED')
    expect(codeOf(await api.request(startMaps, { input: { subject: peer } }))).toBe('VALIDATION_FAILED')
  })
})
