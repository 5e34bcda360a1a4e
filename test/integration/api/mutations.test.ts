import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connectDatabase, type Database } from '../../../src/db/client.ts'
import { describeOnQueues } from '../../support/queue-backends.ts'
import { createTestDatabase } from '../../support/test-database.ts'
import { type ApiUnderTest, at, codeOf, startTestApi, textAt } from './api-under-test.ts'
import { storeFailedRun, storeFinishedRun, storeQueuedRun, storeWorker, take } from './stored-runs.ts'

const nobody = '00000000-0000-4000-8000-000000000000'
const source = { synthetic: { preset: 'gpt2' } }
const start = `mutation ($input: StartBenchmarkInput!) {
  startBenchmark(input: $input) {
    alreadyExisted
    run {
      id kind status queuePosition attempt note labels { key value } spec
      subjects { index name synthetic device threads dtype computeDtype kvDtype runtime fingerprint
        model { name attentionKind kvHeads parameters kvBytesPerToken(dtype: F32) } }
    }
  }
}`
const benchmark = (more: object = {}) => ({ input: { subjects: [{ source }], tests: [{ promptTokens: 16 }], ...more } })

describeOnQueues('startBenchmark', ({ redisUrl }) => {
  let api: ApiUnderTest
  beforeAll(async () => {
    api = await startTestApi(await createTestDatabase(), redisUrl === null ? {} : { REDIS_URL: redisUrl })
  })

  it('stores and queues a run, with what its models are', async () => {
    const input = {
      subjects: [
        { source },
        { source, convert: { kvHeads: 4 } },
        { source, name: 'MQA', convert: { kvHeads: 1, method: 'FIRST' } },
      ],
      prompt: 'the quick brown fox jumps over the lazy dog',
      tests: [{ generatedTokens: 8, depth: 512 }],
      labels: [
        { key: 'b', value: '2' },
        { key: 'a', value: '1' },
      ],
      note: 'a note',
    }
    const answer = await api.request(start, { input })
    expect(answer.errors).toBeUndefined()
    expect(at(answer, 'startBenchmark')).toMatchObject({
      alreadyExisted: false,
      run: {
        kind: 'BENCHMARK',
        status: 'QUEUED',
        attempt: 0,
        note: 'a note',
        labels: [
          { key: 'a', value: '1' },
          { key: 'b', value: '2' },
        ],
        spec: { kind: 'BENCHMARK', version: 1, blocks: 10, tests: [{ generatedTokens: 8, depth: 512, batch: 1 }] },
        subjects: [
          {
            index: 0,
            name: 'gpt2',
            synthetic: true,
            dtype: null,
            fingerprint: null,
            kvDtype: 'F32',
            runtime: 'KVSCOPE',
          },
          { index: 1, name: 'gpt2-kv4', model: { attentionKind: 'GQA', kvHeads: 4 } },
          { index: 2, name: 'MQA', model: { attentionKind: 'MQA', kvHeads: 1, kvBytesPerToken: 12 * 2 * 64 * 4 } },
        ],
      },
    })
    expect(at(answer, 'startBenchmark.run.queuePosition')).toBe(1)
  })

  it('counts an explicit null as left out', async () => {
    const nulls = { name: null, convert: null, device: null, threads: null }
    const tests = [{ promptTokens: 16, generatedTokens: null, depth: null, batch: null }]
    const input = { subjects: [{ source, ...nulls }], tests, prompt: null, blocks: null, maxSeconds: null, seed: null }
    const answer = await api.request(start, { input: { ...input, labels: null, note: null, idempotencyKey: null } })
    expect(answer.errors).toBeUndefined()
    expect(at(answer, 'startBenchmark.run.spec')).toMatchObject({ blocks: 10, seed: 0, maxSeconds: null, prompt: null })
  })

  it('knows a request again by its idempotencyKey, and refuses another under the same', async () => {
    const asked = benchmark({ idempotencyKey: 'once' })
    const [first, second] = [await api.request(start, asked), await api.request(start, asked)]
    expect(at(second, 'startBenchmark.alreadyExisted')).toBe(true)
    expect(textAt(second, 'startBenchmark.run.id')).toBe(textAt(first, 'startBenchmark.run.id'))
    expect(codeOf(await api.request(start, benchmark({ idempotencyKey: 'once', blocks: 3 })))).toBe('CONFLICT')
  })

  it('is ready as soon as a worker lives', async () => {
    expect(at(await api.request('{ health { queueReachable queue } }'), 'health')).toEqual({
      queueReachable: true,
      queue: redisUrl === null ? 'POSTGRESQL' : 'REDIS',
    })
  })
})

describe('what is refused', async () => {
  const url = await createTestDatabase()
  const api = await startTestApi(url)

  it.each([
    ['no subject', { subjects: [] }, 'VALIDATION_FAILED'],
    ['a test of nothing', { tests: [{}] }, 'VALIDATION_FAILED'],
    ['more tokens than positions', { tests: [{ generatedTokens: 8, depth: 1024 }] }, 'CONTEXT_EXCEEDED'],
    ['an unknown preset', { subjects: [{ source: { synthetic: { preset: 'gpt9' } } }] }, 'NOT_FOUND'],
    [
      'a config, which has no weights',
      { subjects: [{ source: { config: { model_type: 'gpt2' } } }] },
      'VALIDATION_FAILED',
    ],
    ['a folder outside the roots', { subjects: [{ source: { local: { path: '/etc' } } }] }, 'PATH_FORBIDDEN'],
    ['K/V heads that make no groups', { subjects: [{ source, convert: { kvHeads: 5 } }] }, 'VALIDATION_FAILED'],
    [
      'the same name twice',
      {
        subjects: [
          { source, name: 'a' },
          { source, name: 'a' },
        ],
      },
      'VALIDATION_FAILED',
    ],
    ['more blocks than allowed', { blocks: 1001 }, 'LIMIT_EXCEEDED'],
    [
      'a label twice',
      {
        labels: [
          { key: 'a', value: '1' },
          { key: 'a', value: '2' },
        ],
      },
      'VALIDATION_FAILED',
    ],
    [
      'too many labels',
      { labels: Array.from({ length: 33 }, (_, i) => ({ key: `${i}`, value: '' })) },
      'LIMIT_EXCEEDED',
    ],
    ['a long prompt', { prompt: 'x'.repeat(65_537) }, 'LIMIT_EXCEEDED'],
  ])('%s', async (_what, more, code) => {
    const answer = await api.request(start, benchmark(more))
    expect(codeOf(answer), JSON.stringify(answer.errors)).toBe(code)
    expect(answer.errors?.[0]?.path).toEqual(['startBenchmark'])
  })

  it('stores nothing', async () => {
    expect(at(await api.request('{ runs { totalCount } }'), 'runs.totalCount')).toBe(0)
  })
})

describe('a stored run', async () => {
  const url = await createTestDatabase()
  const api = await startTestApi(url)
  let db: Database
  beforeAll(() => {
    db = connectDatabase(url)
  })
  afterAll(() => db.close())

  const change = (name: string, id: string, fields = 'run { status attempt }') =>
    api.request(`mutation ($id: ID!) { ${name}(id: $id) { ${fields} } }`, { id })

  it('is canceled once, and stays as it is when it has ended', async () => {
    const queued = await storeQueuedRun(db)
    expect(at(await change('cancelRun', queued), 'cancelRun.run.status')).toBe('CANCELED')
    expect(at(await change('cancelRun', queued), 'cancelRun.run.status')).toBe('CANCELED')
    const finished = await storeFinishedRun(db)
    expect(at(await change('cancelRun', finished), 'cancelRun.run.status')).toBe('SUCCEEDED')
  })

  it('is retried where it failed or was canceled, and only there', async () => {
    const failed = await storeFailedRun(db)
    expect(at(await change('retryRun', failed), 'retryRun.run')).toEqual({ status: 'QUEUED', attempt: 1 })
    for (const id of [failed, await storeFinishedRun(db)]) {
      expect(codeOf(await change('retryRun', id))).toBe('RUN_NOT_RETRYABLE')
    }
  })

  it('is deleted with its results once it has ended, not before', async () => {
    const running = await storeQueuedRun(db)
    expect(codeOf(await change('deleteRun', running, 'deletedId'))).toBe('CONFLICT')
    await take(db, running, await storeWorker(db))
    expect(codeOf(await change('deleteRun', running, 'deletedId'))).toBe('CONFLICT')
    const finished = await storeFinishedRun(db)
    expect(at(await change('deleteRun', finished, 'deletedId'), 'deleteRun.deletedId')).toBe(finished)
    expect((await api.request('query ($id: ID!) { run(id: $id) { id } }', { id: finished })).data).toEqual({
      run: null,
    })
    expect(codeOf(await change('deleteRun', finished, 'deletedId'))).toBe('NOT_FOUND')
  })

  it.each(['cancelRun', 'retryRun', 'editRun'])('that is unknown is NOT_FOUND for %s', async (name) => {
    for (const id of [nobody, 'no-id', '']) expect(codeOf(await change(name, id)), id).toBe('NOT_FOUND')
  })

  it('is edited field by field: what is left out stays, null removes the note', async () => {
    const id = await storeFinishedRun(db)
    const edit = async (args: string) => {
      const answer = await api.request(
        `mutation ($id: ID!) { editRun(id: $id, ${args}) { run { note pinned labels { key value } } } }`,
        { id },
      )
      return at(answer, 'editRun.run')
    }
    const labels = [{ key: 'suite', value: 'api' }]
    expect(await edit('note: "quiet", pinned: true')).toEqual({ note: 'quiet', pinned: true, labels })
    expect(await edit('labels: [{ key: "x", value: "y" }]')).toEqual({
      note: 'quiet',
      pinned: true,
      labels: [{ key: 'x', value: 'y' }],
    })
    expect(await edit('note: null, labels: null, pinned: null')).toEqual({
      note: null,
      pinned: true,
      labels: [{ key: 'x', value: 'y' }],
    })
    expect(await edit('labels: [], pinned: false')).toEqual({ note: null, pinned: false, labels: [] })
  })
})
