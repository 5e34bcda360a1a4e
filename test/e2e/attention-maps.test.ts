import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join, resolve } from 'node:path'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { z } from 'zod'
import { overviewByte } from '../../src/render/attention-tiles.ts'
import { decodeHalves } from '../../src/render/half-float.ts'
import { type Answer, at, startTestApi, textAt } from '../integration/api/api-under-test.ts'
import { largestDifference } from '../support/golden.ts'
import { until } from '../support/processes.ts'
import { type QueueBackend, queueBackends } from '../support/queue-backends.ts'
import { readNpyFile } from '../support/read-npy.ts'
import { readZip } from '../support/read-zip.ts'
import { createTestDatabase } from '../support/test-database.ts'
import { startTestWorker } from '../support/workers.ts'

vi.setConfig({ testTimeout: 120_000 })

/** Real weights, beside the repository or where KVSCOPE_SHARED_MODELS says; without them their test is skipped. */
const shared = process.env.KVSCOPE_SHARED_MODELS ?? resolve(import.meta.dirname, '../../../shared/models')
const stories = join(shared, 'stories260K')
const hasStories = existsSync(stories)
const modelRoots = hasStories ? [shared] : []
const dataDir = mkdtempSync(join(tmpdir(), 'kvscope-attention-maps-'))
afterAll(() => rmSync(dataDir, { recursive: true, force: true }))

/** An API and a worker with a database of their own and one of the queues. */
async function install({ backend, redisUrl }: QueueBackend) {
  const databaseUrl = await createTestDatabase()
  const api = await startTestApi(databaseUrl, {
    REDIS_URL: redisUrl ?? '',
    ...(hasStories && { KVSCOPE_MODEL_ROOTS: modelRoots.join(delimiter) }),
  })
  await startTestWorker({ databaseUrl, queuePrefix: 'kvscope', config: { redisUrl, dataDir, modelRoots } })

  /** Starts a run through the API and waits until it has succeeded. */
  async function recorded(input: object): Promise<string> {
    const started = await api.request(
      'mutation ($input: StartAttentionMapsInput!) { startAttentionMaps(input: $input) { run { id } } }',
      { input },
    )
    const id = textAt(started, 'startAttentionMaps.run.id')
    let seen: unknown
    await until(
      `run ${id} has ended`,
      async () => {
        seen = at(await api.request('query ($id: ID!) { run(id: $id) { status error { message } } }', { id }), 'run')
        return Object(seen).status !== 'QUEUED' && Object(seen).status !== 'RUNNING'
      },
      60_000,
    )
    expect(seen).toEqual({ status: 'SUCCEEDED', error: null })
    return id
  }

  const ask = (id: string, fields: string): Promise<Answer> =>
    api.request(`query ($id: ID!) { run(id: $id) { ... on AttentionMapsRun { ${fields} } } }`, { id })
  /** What stands at an address that GraphQL gave; it may be kept. */
  async function read(address: string): Promise<Uint8Array<ArrayBuffer>> {
    const response = await fetch(`${api.address}${address}`)
    expect([response.status, response.headers.get('cache-control')]).toEqual([
      200,
      expect.stringContaining('immutable'),
    ])
    return new Uint8Array(await response.arrayBuffer())
  }
  return { backend, api, recorded, ask, read }
}

const installations = await Promise.all(queueBackends.map(install))

const listed = z.array(
  z.object({
    head: z.int(),
    kvHead: z.int(),
    values: z.array(z.array(z.number())),
    arrayUrl: z.string(),
    tileUrlTemplate: z.string(),
    imageUrl: z.string(),
  }),
)
const captured = z.object({ token_ids: z.array(z.int()), attentions: z.array(z.array(z.array(z.array(z.number())))) })

/** The data of a NumPy file, after its header. */
const arrayOf = (bytes: Uint8Array<ArrayBuffer>) => bytes.slice(10 + new DataView(bytes.buffer).getUint16(8, true))
const firstTile = (template: string) => template.replace('{level}', '0').replace('{row}', '0').replace('{column}', '0')

describe.each(installations)('attention maps through the API ($backend)', ({ api, recorded, ask, read }) => {
  it.skipIf(!hasStories)(
    'of stories260K are what transformers computes, in GraphQL, at every address and in exports',
    async () => {
      const file = readFileSync(join(stories, 'expected/attention.json'), 'utf8')
      const { token_ids: tokenIds, attentions } = captured.parse(JSON.parse(file))
      const subject = { source: { local: { path: stories } }, threads: 1 }
      const layers = attentions.map((_, layer) => layer)
      const id = await recorded({ subject, tokenIds, layers, baselines: false })
      const size = tokenIds.length
      for (const layer of layers) {
        const answer = await ask(
          id,
          `layers heads overviewUrl gridUrl(layer: ${layer}) diversity(layer: ${layer}) { layer heads all { value } }
        maps(layer: ${layer}) { head kvHead values arrayUrl tileUrlTemplate imageUrl }`,
        )
        expect(answer.errors).toBeUndefined()
        expect(at(answer, 'run')).toMatchObject({ layers, heads: [0, 1, 2, 3, 4, 5, 6, 7], diversity: [{ layer }] })
        const maps = listed.parse(at(answer, 'run.maps'))
        expect(maps.map(({ kvHead }) => kvHead)).toEqual([0, 0, 1, 1, 2, 2, 3, 3])
        for (const { head, values, arrayUrl, tileUrlTemplate } of maps) {
          const flat = Float32Array.from(values.flat())
          expect(largestDifference(flat, Float32Array.from(attentions[layer]?.[head]?.flat() ?? []))).toBeLessThan(1e-4)
          const array = await read(arrayUrl)
          expect(new Float32Array(arrayOf(array).buffer)).toEqual(flat)
          expect(new Float32Array((await read(firstTile(tileUrlTemplate))).buffer)).toEqual(flat)
        }
      }
      const last = await ask(id, `overviewUrl gridUrl(layer: 4) maps(layer: 0, heads: [0]) { values imageUrl }`)
      const overview = await read(textAt(last, 'run.overviewUrl'))
      expect(overview).toHaveLength(layers.length * 8 * size * size)
      const [first] = z.array(z.object({ values: z.array(z.array(z.number())) })).parse(at(last, 'run.maps'))
      expect([...overview.slice(0, size * size)]).toEqual(first?.values.flat().map(overviewByte))
      const grid = new TextDecoder().decode(await read(textAt(last, 'run.gridUrl')))
      expect(grid).toContain('GQA: 8 query heads share 4 K/V heads')
      expect(grid).not.toContain('SYNTHETIC')
      const png = await read(textAt(last, 'run.maps.0.imageUrl').replace('.svg', '.png'))
      expect([...png.slice(1, 4)]).toEqual([...Buffer.from('PNG')])

      const exported = await fetch(`${api.address}/runs/${id}/export.npz`)
      const members = readZip(Buffer.from(await exported.arrayBuffer()))
      expect([...members.keys()].filter((name) => name.startsWith('attention/'))).toHaveLength(layers.length * 8)
      const member = readNpyFile(members.get('attention/prompt0/layer4/head7.npy') ?? Buffer.alloc(0))
      expect([member.descr, member.shape]).toEqual(['<f4', [size, size]])
      const whole = new Float32Array(Uint8Array.from(member.data).buffer)
      expect(largestDifference(whole, Float32Array.from(attentions[4]?.[7]?.flat() ?? []))).toBeLessThan(1e-4)
      const json = await (await fetch(`${api.address}/runs/${id}/export.json`)).json()
      expect(json).toMatchObject({
        id,
        status: 'SUCCEEDED',
        prompts: [{ tokens: tokenIds.map((token) => ({ id: token })) }],
      })

      const shared = await recorded({ subject: { ...subject, convert: { kvHeads: 1 } }, tokenIds, baselines: false })
      const compared = await api.request(
        `query ($baseline: ID!, $candidate: ID!) {
        compareRuns(input: { baseline: { runId: $baseline }, candidates: [$candidate] }) {
          ... on DiversityComparison { rows { layer difference { value } } } } }`,
        { baseline: id, candidate: shared },
      )
      expect(at(compared, 'compareRuns.rows.0')).toMatchObject({ layer: 4, difference: { value: expect.any(Number) } })
    },
  )

  it('of 600 tokens are the same by rows, by tiles and as an array, and compare with another run', async () => {
    const overrides = { n_layer: 2, n_embd: 32, n_head: 4, vocab_size: 101, n_positions: 600 }
    const subject = { source: { synthetic: { preset: 'gpt2', seed: 5, overrides } }, threads: 1 }
    const tokenIds = Array.from({ length: 600 }, (_, position) => (position * 37 + 11) % 101)
    const run = { subject, tokenIds, baselines: false }
    const id = await recorded(run)
    const answer = await ask(
      id,
      `layers maps(layer: 1, heads: [2]) { storedAs values row(query: 599) arrayUrl tileUrlTemplate
        tile(level: 0, row: 2, column: 2) { rows columns mean } coarse: tile(level: 2, row: 0, column: 0) { maximum } }`,
    )
    expect(answer.errors).toBeUndefined()
    expect(at(answer, 'run')).toMatchObject({ layers: [1], maps: [{ storedAs: 'F16', values: null }] })
    const bits = new Uint16Array(arrayOf(await read(textAt(answer, 'run.maps.0.arrayUrl'))).buffer)
    const map = decodeHalves(bits)
    expect(map).toHaveLength(600 * 600)
    expect(at(answer, 'run.maps.0.row')).toEqual([...map.slice(599 * 600)])
    expect(map.slice(599 * 600).reduce((sum, value) => sum + value, 0)).toBeCloseTo(1, 2)
    const corner = Array.from({ length: 88 }, (_, row) => [...map.slice((512 + row) * 600 + 512, (513 + row) * 600)])
    expect(at(answer, 'run.maps.0.tile')).toEqual({ rows: 88, columns: 88, mean: corner })
    const template = textAt(answer, 'run.maps.0.tileUrlTemplate')
    const tile = await read(template.replace('{level}', '0').replace('{row}', '2').replace('{column}', '2'))
    expect([...decodeHalves(new Uint16Array(tile.buffer))]).toEqual(corner.flat())
    expect(at(answer, 'run.maps.0.coarse.maximum.0.0')).toBe(1)

    const other = await recorded({ ...run, subject: { ...subject, convert: { kvHeads: 1 } } })
    const compared = await api.request(
      `query ($baseline: ID!, $candidate: ID!) {
        compareRuns(input: { baseline: { runId: $baseline }, candidates: [$candidate] }) {
          reasons ... on DiversityComparison { rows { layer difference { value interval { low } } reasons } } } }`,
      { baseline: id, candidate: other },
    )
    expect(at(compared, 'compareRuns')).toMatchObject({
      reasons: [],
      rows: [{ layer: 1, difference: { value: expect.any(Number), interval: null } }],
    })
  })
})
