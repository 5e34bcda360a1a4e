import { afterAll, describe, expect, it } from 'vitest'
import { connectDatabase } from '../../../src/db/client.ts'
import { createTestDatabase } from '../../support/test-database.ts'
import { at, codeOf, startTestApi, textAt } from './api-under-test.ts'
import { countStatements } from './counted-statements.ts'
import { storeFinishedRun } from './stored-runs.ts'
import { type SlicedRunOptions, storeQueuedSlices, storeSlicedRun } from './stored-slices.ts'

const url = await createTestDatabase()
const db = connectDatabase(url)
const api = await startTestApi(url)
const run = await storeSlicedRun(db, { projections: ['Q', 'K'], layers: [0, 2] })
afterAll(() => db.close())

const ask = (fields: string, id = run) =>
  api.request(`query ($id: ID!) { run(id: $id) { ... on WeightSlicesRun { ${fields} } } }`, { id })

describe('a run on weight slices', () => {
  it('pages through its slices by layer, projection and head', async () => {
    const seen: unknown[] = []
    let after = 'null'
    for (let turn = 0; turn < 9; turn += 1) {
      const answer = await ask(`slices(first: 7, after: ${after}) { totalCount nodes { id layer projection head }
        edges { cursor } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } }`)
      expect(at(answer, 'run.slices.totalCount')).toBe(48)
      expect(at(answer, 'run.slices.pageInfo.hasPreviousPage')).toBe(turn > 0)
      expect(at(answer, 'run.slices.edges.0.cursor')).toBe(at(answer, 'run.slices.pageInfo.startCursor'))
      const nodes = at(answer, 'run.slices.nodes')
      if (Array.isArray(nodes)) seen.push(...nodes)
      after = JSON.stringify(at(answer, 'run.slices.pageInfo.endCursor'))
      if (at(answer, 'run.slices.pageInfo.hasNextPage') === false) break
    }
    const expected = [0, 2].flatMap((layer) =>
      ['Q', 'K'].flatMap((projection) =>
        Array.from({ length: 12 }, (_, head) => ({
          id: `${run}/1/${layer}/${projection}/${head}`,
          layer,
          projection,
          head,
        })),
      ),
    )
    expect(seen).toEqual(expected)
  })

  it('gives heads that read one matrix a slice each, with equal values, and says which K/V head it is', async () => {
    const answer = await ask(`slices(layer: 2, projection: K, heads: [2, 3, 4]) { totalCount nodes { head kvHead values
      rows columns tensor tensorRows transposed dtype imageUrl arrayUrl } }
      q: slices(layer: 2, projection: Q, heads: [5]) { nodes { head kvHead } }`)
    expect(answer.errors).toBeUndefined()
    const base = `/runs/${run}/weights/2/K`
    expect(at(answer, 'run.slices')).toMatchObject({
      totalCount: 3,
      nodes: [
        { head: 2, kvHead: 0, imageUrl: `${base}/2.svg?attempt=1`, arrayUrl: `${base}/2.npy?attempt=1` },
        { head: 3, kvHead: 1, rows: 4, columns: 3, tensor: 'h.2.attn.c_attn.weight', transposed: false, dtype: 'F32' },
        { head: 4, kvHead: 1 },
      ],
    })
    expect(at(answer, 'run.q.nodes')).toEqual([{ head: 5, kvHead: null }])
    const values = (index: number) => at(answer, `run.slices.nodes.${index}.values`)
    expect(values(1)).toEqual(values(2))
    expect(values(0)).not.toEqual(values(1))
    expect(values(0)).toHaveLength(4)
  })

  it('says who shares what, or null of what it has not read, and where its pictures are', async () => {
    const answer = await ask(`sharing(layer: 0, projection: K) { groups byConstruction maxDifference cosine cka }
      q: sharing(layer: 0, projection: Q) { groups byConstruction } none: sharing(layer: 1, projection: K) { groups }
      gridUrl(layer: 2, projection: Q) warnings { code advice }`)
    expect(answer.errors).toBeUndefined()
    const groups = [0, 3, 6, 9].map((first) => [first, first + 1, first + 2])
    expect(at(answer, 'run')).toMatchObject({
      sharing: { groups, byConstruction: true },
      q: { groups: Array.from({ length: 12 }, (_, head) => [head]), byConstruction: false },
      none: null,
      gridUrl: `/runs/${run}/weights/2/Q/grid.svg?attempt=1`,
      warnings: [{ code: 'SYNTHETIC_WEIGHTS', advice: 'read real ones' }],
    })
    expect(at(answer, 'run.sharing.maxDifference.3.5')).toBe(0)
    expect(at(answer, 'run.sharing.maxDifference.3.6')).toBeGreaterThan(0)
    expect(at(answer, 'run.sharing.cosine.11')).toHaveLength(12)
  })

  it('has nothing yet where it waits, and what its attempt has stored so far where it runs', async () => {
    const fields = 'status slices { totalCount nodes { head } } sharing(layer: 0, projection: K) { groups }'
    expect(at(await ask(fields, await storeQueuedSlices(db)), 'run')).toEqual({
      status: 'QUEUED',
      slices: { totalCount: 0, nodes: [] },
      sharing: null,
    })
    const running = await storeSlicedRun(db, { status: 'RUNNING', projections: ['K'] })
    expect(at(await ask(fields, running), 'run')).toMatchObject({ status: 'RUNNING', slices: { totalCount: 12 } })
  })

  it('is a node; its slices are read through it', async () => {
    const node = (id: string) => api.request('query ($id: ID!) { node(id: $id) { __typename id } }', { id })
    expect(at(await node(run), 'node')).toEqual({ __typename: 'WeightSlicesRun', id: run })
    expect(at(await node(`${run}/1/0/K/0`), 'node')).toBeNull()
  })

  it('refuses pages, cursors and layers that cannot be', async () => {
    expect(codeOf(await ask('slices(first: 101) { totalCount }'))).toBe('LIMIT_EXCEEDED')
    expect(codeOf(await ask('slices(first: 0) { totalCount }'))).toBe('VALIDATION_FAILED')
    expect(codeOf(await ask('slices(after: "x") { nodes { head } }'))).toBe('VALIDATION_FAILED')
    expect(codeOf(await ask('gridUrl(layer: -1, projection: K)'))).toBe('VALIDATION_FAILED')
  })

  it('gives values as lists up to 65,536 of a slice, and no more than a request may have', async () => {
    const large = await storeSlicedRun(db, { kvHeads: 1, projections: ['K'], rows: 1024, columns: 65 })
    const answer = await ask('slices(first: 1) { nodes { head values } }', large)
    expect(codeOf(answer)).toBe('LIMIT_EXCEEDED')
    expect(answer.errors?.[0]).toMatchObject({
      message: expect.stringContaining('1024 x 65'),
      extensions: { hint: /arrayUrl/ },
    })
    const fitting = await storeSlicedRun(db, { kvHeads: 1, projections: ['K'], rows: 1024, columns: 64 })
    expect((await ask('slices(first: 1) { nodes { values } }', fitting)).errors).toBeUndefined()
    expect((await ask('slices(first: 12) { nodes { values } }', fitting)).errors?.[0]?.extensions.code).toBe(
      'LIMIT_EXCEEDED',
    )
  })

  it('takes as many statements for ten runs as for one', async () => {
    const list = (first: number) =>
      countStatements(() =>
        api.request(`{ runs(first: ${first}, filter: { kind: WEIGHT_SLICES, status: [SUCCEEDED] }) { nodes { id
          ... on WeightSlicesRun { slices(first: 2) { totalCount nodes { values } } sharing(layer: 0, projection: K) { groups } } } } }`),
      )
    for (let more = 0; more < 10; more += 1) await storeSlicedRun(db)
    const [one, ten] = [await list(1), await list(10)]
    expect(at(ten.result, 'runs.nodes')).toHaveLength(10)
    expect(ten.statements).toHaveLength(one.statements.length)
    expect(ten.statements.length).toBeLessThanOrEqual(5)
  })
})

describe('comparing runs on weight slices', () => {
  const query = `query ($input: CompareRunsInput!) { compareRuns(input: $input) { __typename reasons candidates { id }
    ... on WeightSlicesComparison { rows { candidateId layer projection head maxDifference cosine imageUrl } } } }`
  const compare = (baseline: string, candidates: string[]) =>
    api.request(query, { input: { baseline: { runId: baseline }, candidates } })
  const small = (more: SlicedRunOptions = {}) => storeSlicedRun(db, { kvHeads: 2, projections: ['K'], ...more })

  it('gives difference and cosine of each head, by layer, projection and head', async () => {
    const [baseline, other] = [
      await small({ layers: [3, 0], projections: ['V', 'K'] }),
      await small({ seed: 9, layers: [0, 3], projections: ['V', 'K'] }),
    ]
    const answer = await compare(baseline, [other, baseline])
    expect(at(answer, 'compareRuns')).toMatchObject({ __typename: 'WeightSlicesComparison', reasons: [] })
    const rows = at(answer, 'compareRuns.rows')
    if (!Array.isArray(rows)) throw new Error('no rows')
    expect(rows.map(({ layer, projection, head }) => `${layer}${projection}${head}`)).toEqual(
      [0, 0].flatMap(() =>
        [0, 3].flatMap((layer) =>
          ['K', 'V'].flatMap((one) => Array.from({ length: 12 }, (_, head) => `${layer}${one}${head}`)),
        ),
      ),
    )
    const read = async (id: string) =>
      at(
        await ask('slices(first: 1, layer: 0, projection: K, heads: [7]) { nodes { values } }', id),
        'run.slices.nodes.0.values',
      )
    const [before, after] = [await read(baseline), await read(other)]
    if (!Array.isArray(before) || !Array.isArray(after)) throw new Error('no values')
    const [x, y]: number[][] = [before.flat(), after.flat()]
    if (x === undefined || y === undefined) throw new Error('no values')
    const product = (a: number[], b: number[]) => a.reduce((sum, value, place) => sum + value * (b[place] ?? 0), 0)
    const [row] = rows.filter(({ projection, head }) => projection === 'K' && head === 7)
    expect(row.maxDifference).toBe(Math.max(...x.map((value, place) => Math.abs(value - (y[place] ?? 0)))))
    expect(row.cosine).toBeCloseTo(product(x, y) / Math.sqrt(product(x, x) * product(y, y)), 12)
    expect(row).toMatchObject({
      candidateId: other,
      imageUrl: `/runs/${other}/weights/0/K/7/difference.svg?baseline=${baseline}`,
    })
    for (const same of rows.slice(48))
      expect(same).toMatchObject({ candidateId: baseline, maxDifference: 0, cosine: 1 })
  })

  it('compares head by head where K/V heads are shared otherwise', async () => {
    const [mha, mqa] = [await small({ kvHeads: 12 }), await small({ kvHeads: 1, seed: 2 })]
    const rows = at(await compare(mha, [mqa]), 'compareRuns.rows')
    if (!Array.isArray(rows)) throw new Error('no rows')
    expect(rows.map(({ head }) => head)).toEqual(Array.from({ length: 12 }, (_, head) => head))
    expect(new Set(rows.map(({ maxDifference }) => maxDifference)).size).toBe(12)
  })

  it('takes zeros for what they are', async () => {
    const [zeros, others] = [await small({ seed: 0 }), await small()]
    expect(at(await compare(zeros, [zeros, others]), 'compareRuns.rows.0')).toMatchObject({
      maxDifference: 0,
      cosine: 1,
    })
    expect(at(await compare(zeros, [others]), 'compareRuns.rows.0')).toMatchObject({ cosine: 0 })
  })

  it('says what has no partner, and compares the rest', async () => {
    const baseline = await small({ layers: [0, 1], projections: ['K', 'Q'], heads: [0, 1, 2] })
    const other = await small({ layers: [1, 2], projections: ['K', 'V'], heads: [2, 3] })
    const answer = await compare(baseline, [other])
    expect(at(answer, 'compareRuns.reasons')).toEqual([
      `layers differ: 0 only in the baseline; 2 only in run ${other}`,
      `projections differ: Q only in the baseline; V only in run ${other}`,
      `heads differ: 0, 1 only in the baseline; 3 only in run ${other}`,
    ])
    expect(at(answer, 'compareRuns.rows')).toMatchObject([{ layer: 1, projection: 'K', head: 2 }])
    const wider = await small({ layers: [0, 1], projections: ['K', 'Q'], heads: [0, 1, 2], columns: 2 })
    const sized = await compare(baseline, [wider])
    expect(at(sized, 'compareRuns')).toMatchObject({
      rows: [],
      reasons: [
        `sizes of W_Q differ: [4, 3] in the baseline, [4, 2] in run ${wider}`,
        `sizes of W_K differ: [4, 3] in the baseline, [4, 2] in run ${wider}`,
      ],
    })
    const waiting = await storeQueuedSlices(db)
    expect(at(await compare(baseline, [waiting]), 'compareRuns')).toMatchObject({
      rows: [],
      reasons: [`run ${waiting} has no slices: it is QUEUED`],
    })
  })

  it('says of a run of another kind that it is one', async () => {
    const [slices, benchmark] = [await small(), await storeFinishedRun(db)]
    const answer = await compare(slices, [benchmark, slices])
    expect(at(answer, 'compareRuns')).toMatchObject({
      __typename: 'WeightSlicesComparison',
      reasons: [`kind differs: WEIGHT_SLICES in the baseline, BENCHMARK in run ${benchmark}`],
      candidates: [{ id: benchmark }, { id: slices }],
    })
    expect(at(answer, 'compareRuns.rows')).toHaveLength(12)
    expect(textAt(await compare(benchmark, [slices]), 'compareRuns.__typename')).toBe('BenchmarkComparison')
  })

  it('is refused where it would read too much, with the arithmetic', async () => {
    const large = await storeSlicedRun(db, { kvHeads: 12, projections: ['K'], rows: 4096 * 36, columns: 1 })
    const answer = await compare(
      large,
      Array.from({ length: 10 }, () => large),
    )
    expect(codeOf(answer)).toBe('LIMIT_EXCEEDED')
    expect(answer.errors?.[0]?.message).toBe(
      'the comparison has 120 rows and reads 120 pairs of matrices of 135 MiB, more than 20000 rows or 128 MiB',
    )
  })
})
