import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join, resolve } from 'node:path'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { openCheckpoint } from '../../src/checkpoints/open.ts'
import { readTensor } from '../../src/checkpoints/read-tensor.ts'
import { readHeader } from '../../src/checkpoints/safetensors.ts'
import { type Answer, at, startTestApi, textAt } from '../integration/api/api-under-test.ts'
import { until } from '../support/processes.ts'
import { type QueueBackend, queueBackends } from '../support/queue-backends.ts'
import { createTestDatabase } from '../support/test-database.ts'
import { startTestWorker } from '../support/workers.ts'

vi.setConfig({ testTimeout: 120_000 })

const golden = resolve(import.meta.dirname, '../golden')
/** Real weights, beside the repository or where KVSCOPE_SHARED_MODELS says; without them these tests are skipped. */
const shared = process.env.KVSCOPE_SHARED_MODELS ?? resolve(import.meta.dirname, '../../../shared/models')
const stories = join(shared, 'stories260K')
const modelRoots = [golden, ...(existsSync(shared) ? [shared] : [])]
const dataDir = mkdtempSync(join(tmpdir(), 'kvscope-weight-slices-'))
afterAll(() => rmSync(dataDir, { recursive: true, force: true }))

const heads6 = join(golden, 'gpt2/heads6')

/** An API and a worker with a database of their own and one of the queues. */
async function install({ backend, redisUrl }: QueueBackend) {
  const databaseUrl = await createTestDatabase()
  const api = await startTestApi(databaseUrl, {
    REDIS_URL: redisUrl ?? '',
    KVSCOPE_MODEL_ROOTS: modelRoots.join(delimiter),
  })
  await startTestWorker({ databaseUrl, queuePrefix: 'kvscope', config: { redisUrl, dataDir, modelRoots } })

  /** Starts a run through the API and waits until it has succeeded. */
  async function sliced(path: string, input: object = {}, convert: object | null = null): Promise<string> {
    const started = await api.request(
      'mutation ($input: StartWeightSlicesInput!) { startWeightSlices(input: $input) { run { id status } } }',
      { input: { subject: { source: { local: { path } }, convert }, ...input } },
    )
    const id = textAt(started, 'startWeightSlices.run.id')
    let seen: unknown
    await until(
      `run ${id} has succeeded`,
      async () => {
        seen = at(await api.request('query ($id: ID!) { run(id: $id) { status error { message } } }', { id }), 'run')
        return Object(seen).status !== 'QUEUED' && Object(seen).status !== 'RUNNING'
      },
      60_000,
    )
    expect(seen).toEqual({ status: 'SUCCEEDED', error: null })
    return id
  }

  const ask = (id: string, fields: string, variables: object = {}): Promise<Answer> =>
    api.request(`query ($id: ID!) { run(id: $id) { ... on WeightSlicesRun { ${fields} } } }`, { id, ...variables })
  return { backend, api, sliced, ask }
}

const installations = await Promise.all(queueBackends.map(install))

async function readFloats(file: string, name: string): Promise<{ shape: number[]; values: Float32Array }> {
  const tensor = (await readHeader(file)).tensors.find((one) => one.name === name)
  if (tensor?.dtype !== 'F32') throw new Error(`${file} lacks ${name}`)
  return { shape: tensor.shape, values: await readTensor({ ...tensor, dtype: 'F32', file }) }
}

describe.each(installations)('weight slices through the API ($backend)', ({ api, sliced, ask }) => {
  it.each([
    ['gpt2/heads6', 'MHA', 6],
    ['falcon/falcon_40b', 'GQA', 2],
    ['gpt_bigcode/mqa', 'MQA', 1],
  ])("are each head's own matrices, as transformers cuts them: %s", async (name, attentionKind, kvHeads) => {
    const folder = join(golden, name)
    const id = await sliced(folder, { layers: [1], projections: ['Q', 'K', 'V', 'O'], rows: 16 })
    const answer = await ask(
      id,
      `fraction environment { hostname } subjects { dtype fingerprint model { attentionKind kvHeads heads } }
      sharing(layer: 1, projection: K) { groups }
      slices(first: 100) { totalCount nodes { layer projection head kvHead rows columns values dtype } }`,
    )
    expect(answer.errors).toBeUndefined()
    expect(at(answer, 'run')).toMatchObject({
      fraction: 1,
      environment: { hostname: expect.any(String) },
      subjects: [{ dtype: 'F32', fingerprint: expect.any(String), model: { attentionKind, kvHeads } }],
    })
    const heads = Number(at(answer, 'run.subjects.0.model.heads'))
    expect(at(answer, 'run.slices.totalCount')).toBe(4 * heads)
    expect(at(answer, 'run.sharing.groups')).toHaveLength(kvHeads)
    const nodes = at(answer, 'run.slices.nodes')
    if (!Array.isArray(nodes)) throw new Error('no slices')
    expect(nodes).toHaveLength(4 * heads)
    for (const { layer, projection, head, kvHead, rows, columns, values } of nodes) {
      const isShared = projection === 'K' || projection === 'V'
      expect(kvHead).toBe(isShared ? Math.floor(head / (heads / kvHeads)) : null)
      const cut = `layer.${layer}.${projection}.${kvHead ?? head}`
      const expected = await readFloats(join(folder, 'head-weights.safetensors'), cut)
      expect([rows, columns]).toEqual([Math.min(16, expected.shape[0] ?? 0), expected.shape[1]])
      expect(values.flat()).toEqual([...expected.values].slice(0, rows * columns))
    }
  })

  it('tell MHA from GQA and MQA: all heads differ, groups share, one serves all', async () => {
    const [mha, gqa, mqa] = [
      await sliced(heads6),
      await sliced(heads6, {}, { kvHeads: 2 }),
      await sliced(heads6, {}, { kvHeads: 1 }),
    ]
    const sharing = async (id: string) =>
      at(
        await ask(id, 'sharing(layer: 0, projection: V) { groups byConstruction maxDifference cosine cka }'),
        'run.sharing',
      )
    expect(await sharing(mha)).toMatchObject({ groups: [[0], [1], [2], [3], [4], [5]], byConstruction: false })
    expect(await sharing(gqa)).toMatchObject({
      groups: [
        [0, 1, 2],
        [3, 4, 5],
      ],
      byConstruction: true,
    })
    const zeros = Array.from({ length: 6 }, () => [0, 0, 0, 0, 0, 0])
    const ones = zeros.map((row) => row.map(() => 1))
    expect(await sharing(mqa)).toEqual({
      groups: [[0, 1, 2, 3, 4, 5]],
      byConstruction: true,
      maxDifference: zeros,
      cosine: ones,
      cka: ones,
    })
    expect(at(await ask(mqa, 'sharing(layer: 1, projection: V) { groups }'), 'run.sharing')).toBeNull()

    const heads = at(await ask(gqa, 'slices(projection: K) { nodes { head kvHead values } }'), 'run.slices.nodes')
    expect(heads).toMatchObject([0, 1, 2, 3, 4, 5].map((head) => ({ head, kvHead: Math.floor(head / 3) })))
    if (!Array.isArray(heads)) throw new Error('no slices')
    expect(heads[1].values).toEqual(heads[0].values)
    expect(heads[3].values).not.toEqual(heads[0].values)

    const compared = await api.request(
      `query ($input: CompareRunsInput!) { compareRuns(input: $input) { __typename reasons
        ... on WeightSlicesComparison { rows { candidateId layer projection head maxDifference cosine imageUrl } } } }`,
      { input: { baseline: { runId: mha }, candidates: [mha, mqa] } },
    )
    expect(compared.errors).toBeUndefined()
    expect(at(compared, 'compareRuns')).toMatchObject({ __typename: 'WeightSlicesComparison', reasons: [] })
    const rows = at(compared, 'compareRuns.rows')
    if (!Array.isArray(rows)) throw new Error('no rows')
    expect(rows).toHaveLength(24)
    for (const row of rows.slice(0, 12)) expect(row).toMatchObject({ candidateId: mha, maxDifference: 0 })
    for (const { candidateId, maxDifference, cosine } of rows.slice(12)) {
      expect(candidateId).toBe(mqa)
      expect(maxDifference).toBeGreaterThan(0)
      // The mean of six matrices keeps some of each one's direction.
      expect(cosine).toBeGreaterThan(0)
      expect(cosine).toBeLessThan(1)
    }
    expect(rows[12].imageUrl).toBe(`/runs/${mqa}/weights/0/K/0/difference.svg?baseline=${mha}`)

    const text = async (path: string) => (await fetch(`${api.address}${path}`)).text()
    expect(await text(rows[12].imageUrl)).toContain('difference, candidate - baseline')
    const grid = textAt(await ask(mqa, 'gridUrl(layer: 0, projection: K)'), 'run.gridUrl')
    expect(await text(grid)).toMatch(/1 stored matrix for 6 query heads[\s\S]*once for heads 0-5/)
    const records = (await text(`/runs/${mqa}/export.csv`)).trimEnd().split('\r\n')
    expect(records[1]).toMatch(new RegExp(`^${mqa},SUCCEEDED,0,K,0,0 1 2 3 4 5,0,0,`))
  })

  it.skipIf(!existsSync(stories))(`of stories260K are those of its 4 K/V heads (${stories})`, async () => {
    const id = await sliced(stories, { layers: [4], projections: ['K', 'Q'], rows: 64 })
    const answer = await ask(
      id,
      `sharing(layer: 4, projection: K) { groups byConstruction maxDifference }
      slices(projection: K, heads: [3]) { nodes { head kvHead rows columns values tensor tensorRows transposed } }`,
    )
    expect(at(answer, 'run.sharing')).toMatchObject({
      groups: [
        [0, 1],
        [2, 3],
        [4, 5],
        [6, 7],
      ],
      byConstruction: true,
    })
    const checkpoint = await openCheckpoint(stories)
    const entry = checkpoint.tensors.get('model.layers.4.self_attn.k_proj.weight')
    if (entry === undefined) throw new Error('no keys')
    const [width = 0, hidden = 0] = entry.shape
    const headDim = width / 4
    const tensor = await readTensor(entry)
    const expected = Array.from({ length: hidden }, (_, input) =>
      Array.from({ length: headDim }, (_, column) => tensor[(headDim + column) * hidden + input]),
    )
    expect(at(answer, 'run.slices.nodes')).toEqual([
      {
        head: 3,
        kvHead: 1,
        rows: hidden,
        columns: headDim,
        values: expected,
        tensor: 'model.layers.4.self_attn.k_proj.weight',
        tensorRows: Array.from({ length: headDim }, (_, index) => headDim + index),
        transposed: true,
      },
    ])
  })

  it('are refused at once where the model has no such head, or there are too many', async () => {
    const start = (input: object) =>
      api.request('mutation ($input: StartWeightSlicesInput!) { startWeightSlices(input: $input) { run { id } } }', {
        input: { subject: { source: { local: { path: heads6 } } }, ...input },
      })
    expect((await start({ heads: [6] })).errors).toMatchObject([
      { message: 'head 6 of heads6: it has 6, numbered from 0', extensions: { code: 'VALIDATION_FAILED' } },
    ])
    expect((await start({ rows: 0 })).errors).toMatchObject([{ extensions: { code: 'VALIDATION_FAILED' } }])
    const source = { synthetic: { preset: 'gpt2-medium' } }
    const layers = Array.from({ length: 24 }, (_, layer) => layer)
    const tooMuch = { subject: { source }, layers, projections: ['Q', 'K', 'V', 'O'], rows: 1024 }
    expect((await start(tooMuch)).errors).toMatchObject([
      { message: expect.stringContaining('385.4 MiB'), extensions: { code: 'LIMIT_EXCEEDED' } },
    ])
  })
})
