import { request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { fetchBenchmarkRun } from '../../../src/cli/benchmark-run.ts'
import { createApiClient } from '../../../src/cli/client.ts'
import { findTiles } from '../../../src/db/attention-tiles.ts'
import { connectDatabase } from '../../../src/db/client.ts'
import { insertHeadRows } from '../../../src/db/head-rows.ts'
import { insertSeries } from '../../../src/db/results.ts'
import { handBackRun } from '../../../src/db/runs.ts'
import { decodeHalves, encodeHalves } from '../../../src/render/half-float.ts'
import { parseCsv } from '../../support/parse-csv.ts'
import { readNpyFile } from '../../support/read-npy.ts'
import { readZip } from '../../support/read-zip.ts'
import { sampleSeries } from '../../support/sample-runs.ts'
import { createTestDatabase } from '../../support/test-database.ts'
import { startTestApi } from './api-under-test.ts'
import { countStatements } from './counted-statements.ts'
import { codesOf, rawRequest } from './raw-http.ts'
import { promptOf, prompts, storeAttentionRun } from './stored-attention.ts'
import { storeFinishedRun, storeQueuedRun, storeWorker, take } from './stored-runs.ts'
import { storeSlicedRun } from './stored-slices.ts'

vi.setConfig({ testTimeout: 30_000 })

const url = await createTestDatabase()
const db = connectDatabase(url)
const api = await startTestApi(url)
afterAll(() => db.close())

const host = `127.0.0.1:${api.port}`
const get = (path: string, headers: Record<string, string> = {}) =>
  rawRequest(api.port, { path, headers: { host, ...headers } })

async function exported(id: string, format: string): Promise<Buffer> {
  const answer = await get(`/runs/${id}/export.${format}`)
  if (answer.status !== 200) throw new Error(answer.body.toString())
  if (answer.headers['content-length'] !== undefined) {
    expect(answer.body.length).toBe(Number(answer.headers['content-length']))
  }
  return answer.body
}

const json = async (id: string) => JSON.parse((await exported(id, 'json')).toString())
const csv = async (id: string) => parseCsv((await exported(id, 'csv')).toString())

interface Listed {
  name: string
  dtype: string
  shape: number[]
}

const descrs: Record<string, string> = { float64: '<f8', float32: '<f4', float16: '<f2', int64: '<i8' }
const spelled: Record<string, string> = { float64: 'F64', float32: 'F32', float16: 'F16', int64: 'I64' }

/** The arrays of both archives by name: they must hold the same, and what the JSON export lists. */
async function arrays(id: string): Promise<Map<string, Buffer>> {
  const [archive, safetensors, { arrays: listed }] = await Promise.all([
    exported(id, 'npz'),
    exported(id, 'safetensors'),
    json(id),
  ])
  const members = readZip(archive)
  const headerLength = Number(safetensors.readBigUInt64LE())
  const { __metadata__: metadata, ...tensors } = JSON.parse(safetensors.toString('utf8', 8, 8 + headerLength))
  const names: string[] = listed.map(({ name }: Listed) => name)
  expect([...members.keys()].sort()).toEqual([...names.map((name) => `${name}.npy`), 'metadata.json'].sort())
  expect(Object.keys(tensors).sort()).toEqual([...names].sort())
  expect(headerLength % 8).toBe(0)
  expect(JSON.parse(metadata.json)).toEqual(JSON.parse(String(members.get('metadata.json'))))
  const found = new Map<string, Buffer>()
  let end = 0
  for (const { name, dtype, shape } of listed) {
    const { descr, shape: sizes, data } = readNpyFile(members.get(`${name}.npy`) ?? Buffer.alloc(0))
    const tensor = tensors[name]
    expect([descr, sizes]).toEqual([descrs[dtype], shape])
    expect([tensor.dtype, tensor.shape]).toEqual([spelled[dtype], shape])
    const [from, to] = tensor.data_offsets
    expect(data.equals(safetensors.subarray(8 + headerLength + from, 8 + headerLength + to))).toBe(true)
    end = Math.max(end, to)
    found.set(name, data)
  }
  expect(safetensors.length).toBe(8 + headerLength + end)
  return found
}

const doubles = (data: Buffer | undefined) => new Float64Array(new Uint8Array(data ?? []).buffer)
const singles = (data: Buffer | undefined) => new Float32Array(new Uint8Array(data ?? []).buffer)

describe('an exported benchmark', async () => {
  const id = await storeFinishedRun(db, {
    kvHeads: [12, 4],
    decode: [
      [10, 0.1 + 0.2, 11.5, 10, 12],
      [5, 5, 6, 5, 5.25],
    ],
  })

  it('is in JSON what clients get who ask GraphQL for all of BenchmarkRun', async () => {
    const client = createApiClient(api.address, { signal: new AbortController().signal })
    const { export: about, arrays: _arrays, ...run } = await json(id)
    expect(run).toEqual(JSON.parse(JSON.stringify(await fetchBenchmarkRun(client, id))))
    expect(about).toEqual({ format: 'kvscope-run', formatVersion: 1, kvscope: '0.1.0', finished: true })
  })

  it('has a record a trial in CSV', async () => {
    const records = await csv(id)
    expect(records).toHaveLength(1 + 5 + 1 + 5)
    const decode = records.filter(({ subject, phase }) => subject === 'kv4' && phase === 'DECODE')
    expect(decode.map(({ trial, milliseconds }) => [trial, Number(milliseconds)])).toEqual(
      [5, 5, 6, 5, 5.25].map((value, trial) => [String(trial), value]),
    )
    expect(decode[0]).toMatchObject({
      ...{ run: id, status: 'SUCCEEDED', model: 'gpt2', attention_kind: 'GQA', heads: '12', kv_heads: '4' },
      ...{ dtype: 'F32', synthetic: 'true', test: 'tg8 @ d128', generated_tokens: '8', depth: '128', batch: '1' },
    })
  })

  it('has its samples as arrays of float64', async () => {
    const found = await arrays(id)
    expect([...found.keys()]).toEqual([
      'series/kv12/load/samples',
      'series/kv12/decode_tg8@d128/samples',
      'series/kv4/load/samples',
      'series/kv4/decode_tg8@d128/samples',
    ])
    expect([...doubles(found.get('series/kv12/decode_tg8@d128/samples'))]).toEqual([10, 0.1 + 0.2, 11.5, 10, 12])
  })
})

describe('exported weight slices', async () => {
  const id = await storeSlicedRun(db, { kvHeads: 4, layers: [0, 3], projections: ['Q', 'K'], rows: 5, columns: 3 })

  it('are each stored matrix once, under the K/V head where it belongs to one', async () => {
    const found = await arrays(id)
    const weights = [...found.keys()].filter((name) => name.startsWith('weights/layer3/'))
    expect(weights).toEqual([
      ...Array.from({ length: 12 }, (_, head) => `weights/layer3/Q/head${head}`),
      ...Array.from({ length: 4 }, (_, head) => `weights/layer3/K/kvhead${head}`),
    ])
    const { slices, sharing, status } = await json(id)
    expect([status, slices.length, sharing.length]).toEqual(['SUCCEEDED', 2 * (12 + 4), 4])
    for (const { array, values } of slices) expect([...singles(found.get(array))]).toEqual(values.flat())
    const shared = slices.find((slice: { array: string }) => slice.array === 'weights/layer0/K/kvhead2')
    expect(shared).toMatchObject({ layer: 0, projection: 'K', kvHead: 2, heads: [6, 7, 8], rows: 5, columns: 3 })
    const [{ cka, cosine }] = sharing
    expect([...doubles(found.get('sharing/layer0/Q/cka'))]).toEqual(cka.flat())
    expect([...doubles(found.get('sharing/layer0/Q/cosine'))]).toEqual(cosine.flat())
  })

  it('have a record a weight in CSV, in digits that give the float32 back', async () => {
    const [records, found] = await Promise.all([csv(id), arrays(id)])
    expect(records).toHaveLength(2 * (12 + 4) * 15)
    const ofHead = records.filter(({ layer, kv_head }) => layer === '3' && kv_head === '1')
    expect(ofHead[7]).toMatchObject({ projection: 'K', heads: '3 4 5', row: '2', column: '1' })
    expect(ofHead.map(({ weight }) => Math.fround(Number(weight)))).toEqual([
      ...singles(found.get('weights/layer3/K/kvhead1')),
    ])
  })
})

describe('exported attention maps', async () => {
  const hostile = {
    text: '=HYPERLINK("http://evil.example")',
    tokens: ['=1+1', ' -2', '+3', '@sum', 'a,b', '"q"', "'x", '\u202e', 'two\nlines'],
  }
  const long = promptOf(Array.from({ length: 600 }, (_, index) => `w${index % 50}`).join(' '))
  const run = await storeAttentionRun(db, { prompts: [prompts.short, long, hostile], layers: [2], heads: [1, 5] })
  const allRecords = csv(run.id) // 360,600 of them

  it('are in an archive what the tiles hold, also where a map takes many', async () => {
    const found = await arrays(run.id)
    const halves = decodeHalves(
      new Uint16Array(new Uint8Array(found.get('attention/prompt1/layer2/head5') ?? []).buffer),
    )
    expect(halves).toHaveLength(600 * 600)
    const place = { runId: run.id, prompt: 1, layer: 2, head: 5, level: 0 }
    const tiles = await findTiles(db, place)
    expect(tiles).toHaveLength(6)
    for (const { row, column, rows, columns, data } of tiles) {
      const tile = decodeHalves(new Uint16Array(new Uint8Array(data).buffer))
      const cut = Array.from({ length: rows }, (_, at) => {
        const start = (256 * row + at) * 600 + 256 * column
        return Array.from(halves.subarray(start, start + columns))
      })
      expect(cut.flat()).toEqual(Array.from(tile))
    }
    expect(halves).toEqual(decodeHalves(encodeHalves(run.map(1, 2, 5))))
    expect(singles(found.get('attention/prompt0/layer2/head1'))).toEqual(run.map(0, 2, 1))
  })

  it('have their tokens and distances beside them', async () => {
    const [found, { prompts: listed, diversity }] = await Promise.all([arrays(run.id), json(run.id)])
    const ids = new BigInt64Array(new Uint8Array(found.get('tokens/prompt2') ?? []).buffer)
    expect([...ids].map(Number)).toEqual(listed[2].tokens.map((token: { id: number }) => token.id))
    expect([...doubles(found.get('diversity/layer2/js_distance'))]).toEqual(diversity[0].jsDistance.flat())
  })

  it('stand in JSON up to 128 tokens, and longer ones by the name of their array', async () => {
    const { maps } = await json(run.id)
    expect(maps).toHaveLength(6)
    for (const { prompt, layer, head, kvHead, size, storedAs, array, values } of maps) {
      expect(array).toBe(`attention/prompt${prompt}/layer${layer}/head${head}`)
      expect([kvHead, size, storedAs]).toEqual(
        prompt === 1 ? [expect.any(Number), 600, 'F16'] : [expect.any(Number), 9, 'F32'],
      )
      expect(values?.flat()).toEqual(prompt === 1 ? undefined : [...run.map(prompt, layer, head)])
    }
  })

  it('have a record a query and key in CSV, without the zeros above the diagonal', async () => {
    const records = await allRecords
    expect(records).toHaveLength(2 * (45 + (600 * 601) / 2 + 45))
    const map = new Float32Array(600 * 600)
    for (const { prompt, head, query, key, probability } of records) {
      if (prompt === '1' && head === '1') map[Number(query) * 600 + Number(key)] = Number(probability)
    }
    expect(encodeHalves(map)).toEqual(encodeHalves(run.map(1, 2, 1)))
  })

  it('have no cell that a spreadsheet would run, and all tokens as they were', async () => {
    const records = (await allRecords).filter(
      ({ prompt, head, query }) => prompt === '2' && head === '1' && query === '8',
    )
    const cells = records.map(({ key_token }) => key_token ?? '')
    expect(cells.filter((cell) => /^[\s]*[=+\-@]/.test(cell))).toEqual([])
    expect(cells.map((cell) => cell.replace(/^'/, ''))).toEqual(hostile.tokens)
  })

  it('are read no further once the client has gone', async () => {
    const many = await storeAttentionRun(db, { prompts: [long], layers: [0], heads: [0, 1, 2, 3], diversity: false })
    const leave = () =>
      new Promise<void>((resolve, reject) => {
        const sent = request({
          host: '127.0.0.1',
          port: api.port,
          path: `/runs/${many.id}/export.csv`,
          headers: { host },
        })
        sent.on('response', (response) => {
          response.once('data', () => {
            response.destroy()
            resolve()
          })
          response.on('error', () => undefined)
        })
        sent.on('error', reject)
        sent.end()
      })
    const { statements } = await countStatements(async () => {
      await leave()
      await sleep(1_000)
    })
    const reads = statements.filter((statement) => statement.includes('"AttentionTile"'))
    expect(reads.length).toBeGreaterThan(0)
    expect(reads.length).toBeLessThan(8) // of 16: four maps of three rows of tiles, and the end of each
  })
})

describe('an export of a run that has not succeeded', () => {
  it('has what is there and says so in its name, in JSON and in every record', async () => {
    const run = await storeAttentionRun(db, {
      prompts: [prompts.short],
      heads: [3],
      layers: [1],
      diversity: false,
      status: 'RUNNING',
    })
    const answer = await get(`/runs/${run.id}/export.npz`)
    expect(answer.headers['content-disposition']).toBe(`attachment; filename="kvscope-${run.id}-unfinished.npz"`)
    expect([...(await arrays(run.id)).keys()]).toContain('attention/prompt0/layer1/head3')
    expect((await json(run.id)).export.finished).toBe(false)
    expect(new Set((await csv(run.id)).map(({ status }) => status))).toEqual(new Set(['RUNNING']))
  })

  it('has nothing but titles and lists before anything is stored', async () => {
    const id = await storeQueuedRun(db)
    expect(await csv(id)).toEqual([])
    expect(await arrays(id)).toEqual(new Map())
    expect(await json(id)).toMatchObject({ status: 'QUEUED', series: [], comparison: [], keyFigure: null, attempt: 0 })
  })

  it('holds nothing of an attempt that is over', async () => {
    const id = await storeQueuedRun(db, [12])
    const worker = await storeWorker(db)
    const first = await take(db, id, worker)
    await insertSeries(db, first, [sampleSeries({ test: 'tg1 @ d1', samples: [1] })])
    await handBackRun(db, first)
    const second = await take(db, id, worker)
    await insertSeries(db, second, [sampleSeries({ test: 'tg2 @ d2', samples: [2] })])
    expect([...(await arrays(id)).keys()]).toEqual(['series/kv12/decode_tg2@d2/samples'])
    expect((await csv(id)).map(({ milliseconds }) => milliseconds)).toEqual(['2'])
  })

  it('leaves out a map whose tiles have come and which is not complete yet', async () => {
    const run = await storeAttentionRun(db, {
      prompts: [prompts.short],
      heads: [0],
      layers: [0],
      diversity: false,
      status: 'RUNNING',
    })
    const [tile] = await findTiles(db, { runId: run.id, prompt: 0, layer: 0, head: 0, level: 0 })
    if (tile === undefined) throw new Error('no tile')
    const { size: _size, storedAs: _storedAs, ...row } = tile
    await insertHeadRows(db, run.guard, { of: 'attentionTiles', rows: [{ ...row, head: 7 }] })
    const names = [...(await arrays(run.id)).keys()]
    expect(names.filter((name) => name.startsWith('attention/'))).toEqual(['attention/prompt0/layer0/head0'])
  })
})

describe('the address of an export', async () => {
  const id = await storeFinishedRun(db)

  it.each([
    [`/runs/${id}/export.xlsx`, 404, 'NOT_FOUND'],
    [`/runs/${id}/export.json?attempt=1`, 400, 'VALIDATION_FAILED'],
    ['/runs/0193a1b2-0000-7000-8000-000000000000/export.csv', 404, 'NOT_FOUND'],
    ['/runs/..%2f..%2fetc/export.csv', 404, 'NOT_FOUND'],
  ])('%s answers %i', async (path, status, code) => {
    const answer = await get(path)
    expect([answer.status, codesOf(answer)]).toEqual([status, [code]])
  })

  it('gives a file to be saved, not kept and not shown', async () => {
    const { headers } = await get(`/runs/${id}/export.csv`)
    expect(headers).toMatchObject({
      'cache-control': 'no-store',
      'content-disposition': `attachment; filename="kvscope-${id}.csv"`,
      'content-type': 'text/csv; charset=utf-8; header=present',
      'x-content-type-options': 'nosniff',
    })
  })

  it('tells HEAD how long an archive is', async () => {
    const head = await rawRequest(api.port, { method: 'HEAD', path: `/runs/${id}/export.npz`, headers: { host } })
    expect([head.status, head.body.length]).toEqual([200, 0])
    expect(Number(head.headers['content-length'])).toBe((await exported(id, 'npz')).length)
  })

  it('asks for a token where tokens are set', async () => {
    const guarded = await startTestApi(url, { KVSCOPE_TOKENS: 'ann:a-secret-of-tests' })
    const ask = (headers: Record<string, string>) =>
      rawRequest(guarded.port, {
        path: `/runs/${id}/export.csv`,
        headers: { host: `127.0.0.1:${guarded.port}`, ...headers },
      })
    expect((await ask({})).status).toBe(401)
    expect((await ask({ authorization: 'Bearer a-secret-of-tests' })).status).toBe(200)
  })
})
