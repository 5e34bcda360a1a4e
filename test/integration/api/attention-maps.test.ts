import { afterAll, describe, expect, it } from 'vitest'
import { connectDatabase } from '../../../src/db/client.ts'
import { insertHeadRows } from '../../../src/db/head-rows.ts'
import { fromHalfBits, toHalfBits } from '../../../src/render/half-float.ts'
import { createTestDatabase } from '../../support/test-database.ts'
import { at, codeOf, startTestApi, textAt } from './api-under-test.ts'
import { countStatements } from './counted-statements.ts'
import { promptOf, prompts, storeAttentionRun } from './stored-attention.ts'
import { storeFinishedRun } from './stored-runs.ts'

const url = await createTestDatabase()
const db = connectDatabase(url)
const api = await startTestApi(url)
const run = await storeAttentionRun(db)
afterAll(() => db.close())

const ask = (fields: string, id = run.id) =>
  api.request(`query ($id: ID!) { run(id: $id) { ... on AttentionMapsRun { ${fields} } } }`, { id })
const rowsOf = (map: Float32Array, size: number) =>
  Array.from({ length: size }, (_, query) => Array.from(map.subarray(query * size, (query + 1) * size)))
const asHalf = (value: number) => fromHalfBits(toHalfBits(value))

describe('a run on attention maps', () => {
  it('says what it holds, and where its pictures and arrays are', async () => {
    const answer =
      await ask(`status layers heads warnings { code } prompts { index text tokens { position id text generated } }
      overviewUrl(prompt: 1) gridUrl(layer: 11) maps(layer: 11, heads: [2]) { layer head kvHead size storedAs entropy
        imageUrl arrayUrl tileUrlTemplate }`)
    expect(answer.errors).toBeUndefined()
    const base = `/runs/${run.id}/attention`
    expect(at(answer, 'run')).toMatchObject({
      status: 'SUCCEEDED',
      layers: [0, 11],
      heads: [0, 1, 2, 3],
      warnings: [],
      overviewUrl: `${base}/1/overview.u8?attempt=1`,
      gridUrl: `${base}/0/11/grid.svg?attempt=1`,
      maps: [
        {
          layer: 11,
          head: 2,
          kvHead: 0,
          size: 9,
          storedAs: 'F32',
          entropy: 1.5,
          imageUrl: `${base}/0/11/2.svg?attempt=1`,
          arrayUrl: `${base}/0/11/2.npy?attempt=1`,
          tileUrlTemplate: `${base}/0/11/2/{level}/{row}/{column}.f32?attempt=1&statistic=mean`,
        },
      ],
    })
    expect(at(answer, 'run.prompts.0.tokens.1')).toMatchObject({ position: 1, text: ' quick', generated: false })
    expect(at(answer, 'run.prompts.1.tokens')).toHaveLength(300)
  })

  it('gives short maps as nested lists, as they were computed', async () => {
    const answer = await ask('maps(layer: 0) { head values row(query: 4) }')
    expect(answer.errors).toBeUndefined()
    const expected = [0, 1, 2, 3].map((head) => {
      const values = rowsOf(run.map(0, 0, head), 9)
      return { head, values, row: values[4] }
    })
    expect(at(answer, 'run.maps')).toEqual(expected)
  })

  it('gives long maps by rows and tiles alone', async () => {
    const answer =
      await ask(`maps(layer: 0, heads: [3], prompt: 1) { storedAs values first: row(query: 0) row(query: 299)
      corner: tile(level: 0, row: 1, column: 1) { level row column rows columns mean maximum }
      coarse: tile(level: 1, row: 0, column: 0) { rows columns mean maximum }
      above: tile(level: 0, row: 0, column: 1) { rows } beyond: tile(level: 0, row: 2, column: 0) { rows }
      deeper: tile(level: 2, row: 0, column: 0) { rows } negative: tile(level: -1, row: 0, column: 0) { rows } }`)
    expect(answer.errors).toBeUndefined()
    const whole = rowsOf(run.map(1, 0, 3).map(asHalf), 300)
    expect(at(answer, 'run.maps.0')).toMatchObject({ storedAs: 'F16', values: null, first: whole[0], row: whole[299] })
    const corner = whole.slice(256).map((row) => row.slice(256))
    expect(at(answer, 'run.maps.0.corner')).toEqual({
      ...{ level: 0, row: 1, column: 1, rows: 44, columns: 44 },
      ...{ mean: corner, maximum: corner },
    })
    expect(at(answer, 'run.maps.0')).toMatchObject({ above: null, beyond: null, deeper: null, negative: null })
    const row = [250, 251].flatMap((query) => whole[query]?.slice(100, 102) ?? [])
    expect(at(answer, 'run.maps.0.coarse.maximum.125.50')).toBe(Math.max(...row))
    const mean = row.reduce((sum, value) => sum + value, 0) / 4
    expect(at(answer, 'run.maps.0.coarse.mean.125.50')).toBeCloseTo(mean, 5)
  })

  it.each([
    ['maps(layer: 0) { row(query: 9) }', 'query is 9'],
    ['maps(layer: 0) { row(query: -1) }', 'query is -1'],
    ['maps(layer: -1) { head }', 'layer is -1'],
    ['maps(layer: 0, prompt: -1) { head }', 'prompt is -1'],
    ['gridUrl(layer: -5)', 'layer is -5'],
  ])('refuses %s', async (fields, message) => {
    const { errors = [] } = await ask(fields)
    expect(errors[0]).toMatchObject({ message, extensions: { code: 'VALIDATION_FAILED' } })
  })

  it('has no maps of what was not recorded', async () => {
    const answer = await ask(
      'layer: maps(layer: 5) { head } head: maps(layer: 0, heads: [9]) { head } prompt: maps(layer: 0, prompt: 7) { head }',
    )
    expect(answer.data).toEqual({ run: { layer: [], head: [], prompt: [] } })
  })

  it('gives no more numbers than one request may have', async () => {
    const fields = (count: number) =>
      Array.from({ length: count }, (_, index) => `t${index}: tile(level: 0, row: 0, column: 0) { mean }`).join(' ')
    expect((await ask(`maps(layer: 0, heads: [0], prompt: 1) { ${fields(4)} }`)).errors).toBeUndefined()
    const { errors } = await ask(`maps(layer: 0, heads: [0], prompt: 1) { ${fields(5)} }`)
    expect(errors?.map(({ extensions }) => extensions.code)).toEqual(['LIMIT_EXCEEDED'])
    expect(errors?.[0]?.message).toContain('262144')
  })

  it('reads any number of maps in the same few statements', async () => {
    const fields = 'maps(layer: 0) { values row(query: 3) tile(level: 0, row: 0, column: 0) { mean } }'
    const one = await countStatements(() => ask(fields.replace('0)', '0, heads: [1])')))
    const all = await countStatements(() => ask(fields))
    expect(one.result.errors).toBeUndefined()
    expect(all.result.errors).toBeUndefined()
    expect(all.statements.length).toBe(one.statements.length)
    expect(all.statements.length).toBeLessThanOrEqual(6)
  })

  it('says that a map is no map where its values are not numbers', async () => {
    const bad = await storeAttentionRun(db, {
      prompts: [promptOf('a b')],
      layers: [0],
      heads: [0],
      diversity: false,
      status: 'RUNNING',
    })
    const broken = { prompt: 0, layer: 0, head: 1, kvHead: 0, size: 2, storedAs: 'F32' } as const
    const data = new Uint8Array(Float32Array.of(1, 0, Number.NaN, Number.NaN).buffer)
    const tile = {
      prompt: 0,
      layer: 0,
      head: 1,
      level: 0,
      row: 0,
      column: 0,
      statistic: 'MEAN',
      rows: 2,
      columns: 2,
      data,
    }
    await insertHeadRows(db, bad.guard, { of: 'attentionTiles', rows: [{ ...tile, statistic: 'MEAN' }] })
    const rows = [{ ...broken, entropy: 0, overviewSide: 2, overview: new Uint8Array(4) }]
    await insertHeadRows(db, bad.guard, { of: 'attentionHeads', rows })
    // One by one: a row may not be null, and once it has failed its map's other errors may go unsaid.
    for (const field of ['values', 'row(query: 1)']) {
      const { errors } = await ask(`maps(layer: 0, heads: [1]) { head ${field} }`, bad.id)
      expect(errors?.map(({ extensions }) => extensions.code)).toEqual(['CHECKPOINT_INVALID'])
    }
    expect((await ask('maps(layer: 0, heads: [0]) { values }', bad.id)).errors).toBeUndefined()
  })
})

describe('the diversity of heads', () => {
  const estimate = 'value interval { low high level }'
  it('is told layer by layer, with what chance and position give', async () => {
    const answer =
      await ask(`diversity { layer imageUrl heads jsDistance all { ${estimate} } withinGroups { ${estimate} }
      betweenGroups { ${estimate} } betweenMinusWithin { value } shuffledBaseline { value } randomWeightsBaseline { value }
      positionBaseline { value } atPositions { value } alibiBaseline { value } entropy { value }
      behaviours { head name score { value } uniform } }
      one: diversity(layer: 11) { layer } none: diversity(layer: 3) { layer }`)
    expect(answer.errors).toBeUndefined()
    expect(at(answer, 'run')).toMatchObject({
      diversity: [{ layer: 0, heads: [0, 1, 2, 3], randomWeightsBaseline: null, alibiBaseline: null }, { layer: 11 }],
      one: [{ layer: 11 }],
      none: [],
    })
    const imageUrl = `/runs/${run.id}/attention/diversity/11.svg?attempt=1`
    expect(at(answer, 'run.diversity.1.imageUrl')).toBe(imageUrl)
    expect((await fetch(`${api.address}${imageUrl}`)).headers.get('content-type')).toContain('image/svg+xml')
    expect(at(answer, 'run.diversity.0.jsDistance.2.2')).toBe(0)
    expect(at(answer, 'run.diversity.0.jsDistance.2.3')).toBeGreaterThan(0.05)
    expect(at(answer, 'run.diversity.0.all.interval')).toBeNull() // two prompts
    expect(at(answer, 'run.diversity.0.behaviours.0')).toMatchObject({ head: 0, name: 'previous-token' })
  })

  it('is none where the run was not asked for it', async () => {
    const plain = await storeAttentionRun(db, { prompts: [prompts.short], layers: [0], diversity: false })
    expect((await ask('diversity { layer }', plain.id)).data).toEqual({ run: { diversity: [] } })
  })
})

describe('comparing runs on attention maps', () => {
  const many = Array.from({ length: 6 }, (_, index) =>
    promptOf(`one two three four five six seven ${'x'.repeat(index)}`),
  )
  const compare = (baseline: string, ...candidates: string[]) =>
    api.request(
      `query ($baseline: ID!, $candidates: [ID!]!) {
        compareRuns(input: { baseline: { runId: $baseline }, candidates: $candidates }) {
          __typename baseline { id } candidates { id } reasons
          ... on DiversityComparison { rows { candidateId layer reasons difference { value interval { low high level } } } }
        }
      }`,
      { baseline, candidates },
    )

  it('gives the difference of mean distances, paired by prompt, with its interval', async () => {
    const one = await storeAttentionRun(db, { prompts: many, seed: 2 })
    const other = await storeAttentionRun(db, { prompts: many, seed: 3, layers: [0, 5] })
    const answer = await compare(one.id, other.id, one.id)
    expect(answer.errors).toBeUndefined()
    expect(at(answer, 'compareRuns')).toMatchObject({
      __typename: 'DiversityComparison',
      baseline: { id: one.id },
      candidates: [{ id: other.id }, { id: one.id }],
      reasons: [],
      rows: [
        { candidateId: other.id, layer: 0, reasons: [], difference: { interval: { level: 0.95 } } },
        { candidateId: other.id, layer: 5, difference: null, reasons: ['the baseline has no layer 5'] },
        { candidateId: other.id, layer: 11, difference: null, reasons: ['the candidate has no layer 11'] },
        { candidateId: one.id, layer: 0, reasons: [], difference: { value: 0, interval: { low: 0, high: 0 } } },
        { candidateId: one.id, layer: 11 },
      ],
    })
    expect(at(answer, 'compareRuns.rows.0.difference.value')).not.toBe(0)
  })

  it('says why there is no difference to give', async () => {
    const [one, other, without, running] = await Promise.all([
      storeAttentionRun(db, { prompts: many, layers: [0] }),
      storeAttentionRun(db, { prompts: [promptOf('something else')], layers: [0] }),
      storeAttentionRun(db, { prompts: many, layers: [0], diversity: false }),
      storeAttentionRun(db, { prompts: many, layers: [0], diversity: false, status: 'RUNNING' }),
    ])
    const benchmark = await storeFinishedRun(db)
    const answer = await compare(one.id, other.id, without.id, running.id, benchmark)
    expect(answer.errors).toBeUndefined()
    expect(at(answer, 'compareRuns.rows')).toEqual([
      {
        candidateId: other.id,
        layer: 0,
        difference: null,
        reasons: ['the runs share no prompt: 6 in the baseline, 1 here'],
      },
    ])
    expect(at(answer, 'compareRuns.reasons')).toEqual([
      `kind differs: ATTENTION_MAPS in the baseline, BENCHMARK in run ${benchmark}`,
      `run ${without.id} has no diversity stored: it was run without`,
      `run ${running.id} has no diversity stored: it is RUNNING`,
    ])
    expect(at(await compare(without.id, one.id), 'compareRuns')).toMatchObject({ rows: [] })
  })
})

describe('startAttentionMaps', () => {
  const start = `mutation ($input: StartAttentionMapsInput!) { startAttentionMaps(input: $input) {
    alreadyExisted run { id kind status spec prompts { index } layers maps(layer: 0) { head } diversity { layer } } } }`
  const subject = { source: { synthetic: { preset: 'gpt2' } } }

  it('stores and queues a run, once for each idempotencyKey', async () => {
    const input = {
      subject,
      prompts: ['Hello'],
      layers: [3],
      heads: [1],
      generatedTokens: 2,
      baselines: false,
      idempotencyKey: 'a',
    }
    const answer = await api.request(start, { input })
    expect(answer.errors).toBeUndefined()
    expect(at(answer, 'startAttentionMaps')).toMatchObject({
      alreadyExisted: false,
      run: { kind: 'ATTENTION_MAPS', status: 'QUEUED', prompts: [], layers: [], maps: [], diversity: [] },
    })
    expect(at(answer, 'startAttentionMaps.run.spec')).toMatchObject({
      ...{ prompts: ['Hello'], layers: [3], heads: [1], generatedTokens: 2, diversity: true, baselines: false },
    })
    const again = await api.request(start, { input })
    expect(at(again, 'startAttentionMaps.alreadyExisted')).toBe(true)
    expect(textAt(again, 'startAttentionMaps.run.id')).toBe(textAt(answer, 'startAttentionMaps.run.id'))
  })

  it.each([
    [{ prompts: ['a'], tokenIds: [1] }, 'VALIDATION_FAILED'],
    [{ layers: [1, 1] }, 'VALIDATION_FAILED'],
    [{ layers: [-1] }, 'VALIDATION_FAILED'],
    [{ prompts: [] }, 'VALIDATION_FAILED'],
    [{ prompts: Array.from({ length: 65 }, () => 'a') }, 'LIMIT_EXCEEDED'],
    [{ subject: { source: { synthetic: { preset: 'no-such' } } } }, 'NOT_FOUND'],
  ])('refuses %j', async (input, code) => {
    expect(codeOf(await api.request(start, { input: { subject, ...input } }))).toBe(code)
  })
})
