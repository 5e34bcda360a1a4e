import { gunzipSync } from 'node:zlib'
import { afterAll, describe, expect, it } from 'vitest'
import { connectDatabase } from '../../../src/db/client.ts'
import { retryRun } from '../../../src/db/runs.ts'
import { tileAddress } from '../../../src/render/attention-tiles.ts'
import { decodeHalves, encodeHalves } from '../../../src/render/half-float.ts'
import { createTestDatabase } from '../../support/test-database.ts'
import { startTestApi } from './api-under-test.ts'
import { codesOf, type RawAnswer, rawRequest } from './raw-http.ts'
import { promptOf, prompts, storeAttentionRun } from './stored-attention.ts'
import { storeFinishedRun, storeWorker, take } from './stored-runs.ts'

const url = await createTestDatabase()
const db = connectDatabase(url)
const api = await startTestApi(url)
const run = await storeAttentionRun(db)
afterAll(() => db.close())

const host = `127.0.0.1:${api.port}`
const get = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
  rawRequest(api.port, { path, method, headers: { host, ...headers } })
const of = (path: string, id = run.id) => `/runs/${id}/attention/${path}`
const textOf = ({ body }: RawAnswer) => body.toString()
const floats = (body: Buffer) => new Float32Array(new Uint8Array(body).buffer)
const halves = (body: Buffer) => decodeHalves(new Uint16Array(new Uint8Array(body).buffer))
const kept = 'private, max-age=31536000, immutable'

describe('a tile', () => {
  it('is the bytes that were stored, in the type of its map', async () => {
    const short = await get(of('0/11/2/0/0/0.f32?attempt=1&statistic=mean'))
    expect(short.status).toBe(200)
    expect(short.headers).toMatchObject({ 'content-type': 'application/octet-stream', 'content-length': '324' })
    expect(floats(short.body)).toEqual(run.map(0, 11, 2))
    const long = await get(of('1/0/3/0/1/1.f16'))
    const map = decodeHalves(encodeHalves(run.map(1, 0, 3)))
    const corner = Array.from({ length: 44 }, (_, row) => map.slice((256 + row) * 300 + 256, (256 + row + 1) * 300))
    expect(halves(long.body)).toEqual(Float32Array.from(corner.flatMap((row) => Array.from(row))))
  })

  it('of a short map comes as half-floats too, so that one address fits all', async () => {
    const place = { runId: run.id, attempt: 1, prompt: 0, layer: 0, head: 1, level: 0, row: 0, column: 0 }
    const { body } = await get(tileAddress({ ...place, statistic: 'MEAN' }))
    expect(halves(body)).toEqual(decodeHalves(encodeHalves(run.map(0, 0, 1))))
    const wider = await get(of('1/0/1/0/0/0.f32'))
    expect([wider.status, codesOf(wider)]).toEqual([404, ['NOT_FOUND']])
  })

  it('of a coarser level has mean and maximum', async () => {
    const [mean, maximum] = await Promise.all(
      ['mean', 'maximum'].map(async (statistic) =>
        halves((await get(of(`1/0/0/1/0/0.f16?statistic=${statistic}`))).body),
      ),
    )
    expect(mean).toHaveLength(150 * 150)
    expect(maximum?.every((value, index) => value >= (mean?.[index] ?? 2))).toBe(true)
    expect(maximum).not.toEqual(mean)
  })

  it.each([
    '0/0/0/0/0/1.f16',
    '0/0/0/1/0/0.f16',
    '1/0/0/0/2/0.f16',
    '0/7/0/0/0/0.f16',
    '5/0/0/0/0/0.f16',
    '0/0/0/0/0/0.f64',
  ])('%s is not there', async (path) => {
    const answer = await get(of(path))
    expect([answer.status, codesOf(answer)]).toEqual([404, ['NOT_FOUND']])
    expect(answer.headers['cache-control']).toBe('no-store')
  })
})

describe('an overview', () => {
  it('has the maps of a prompt by layer and head, a byte a cell, gzipped', async () => {
    const answer = await get(of('1/overview.u8?attempt=1'), { 'accept-encoding': 'gzip' })
    expect(answer.headers).toMatchObject({ 'content-encoding': 'gzip', vary: 'Accept-Encoding', 'cache-control': kept })
    const bytes = gunzipSync(answer.body)
    expect(bytes).toHaveLength(2 * 4 * 38 * 38) // 300 tokens, halved three times
    const plain = await get(of('1/overview.u8'))
    expect(plain.headers['content-encoding']).toBeUndefined()
    expect(plain.body).toEqual(bytes)
    expect(bytes[0]).toBe(255) // query 0 has one key
  })

  it('may be of some layers', async () => {
    const all = (await get(of('0/overview.u8'))).body
    expect(all).toHaveLength(2 * 4 * 81)
    expect((await get(of('0/overview.u8?layers=0-10'))).body).toEqual(all.subarray(0, 4 * 81))
    expect((await get(of('0/overview.u8?layers=11'))).body).toEqual(all.subarray(4 * 81))
    expect(codesOf(await get(of('0/overview.u8?layers=1-10')))).toEqual(['NOT_FOUND'])
    expect(codesOf(await get(of('9/overview.u8')))).toEqual(['NOT_FOUND'])
  })
})

describe('a map as a NumPy file', () => {
  /** The format by hand: magic, version, length of the header, then a dictionary as Python writes it. */
  const readNpy = (body: Buffer) => {
    expect(body.subarray(0, 8)).toEqual(Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0]))
    const start = 10 + body.readUInt16LE(8)
    expect(start % 64).toBe(0)
    const [, descr, shape] =
      /'descr': '(.+?)', 'fortran_order': False, 'shape': \((.+?)\)/.exec(body.toString('latin1', 10, start)) ?? []
    return { descr, shape, data: body.subarray(start) }
  }

  it('holds what was computed, in its stored type, and zeros above the diagonal', async () => {
    const short = await get(of('0/11/3.npy?attempt=1'))
    expect(short.headers['content-disposition']).toBe('inline; filename="attention-P0-L11-H3.npy"')
    const f32 = readNpy(short.body)
    expect(f32).toMatchObject({ descr: '<f4', shape: '9, 9' })
    expect(floats(f32.data)).toEqual(run.map(0, 11, 3))
    const f16 = readNpy((await get(of('1/11/3.npy'))).body)
    expect(f16).toMatchObject({ descr: '<f2', shape: '300, 300' })
    expect(halves(f16.data)).toEqual(decodeHalves(encodeHalves(run.map(1, 11, 3))))
  })

  it('tells HEAD how long it is', async () => {
    const [whole, head] = await Promise.all([
      get(of('1/11/3.npy?attempt=1')),
      get(of('1/11/3.npy?attempt=1'), {}, 'HEAD'),
    ])
    expect(head.body).toHaveLength(0)
    expect(head.headers['content-length']).toBe(String(whole.body.length))
    expect(head.headers.etag).toBe(whole.headers.etag)
  })

  it('is compressed for who takes it so', async () => {
    const answer = await get(of('1/11/3.npy'), { 'accept-encoding': 'gzip' })
    expect(answer.headers['content-encoding']).toBe('gzip')
    expect(gunzipSync(answer.body)).toEqual((await get(of('1/11/3.npy'))).body)
  })
})

describe('a picture', () => {
  const pngSize = (body: Buffer) => {
    expect(body.subarray(1, 4).toString()).toBe('PNG')
    return [body.readUInt32BE(16), body.readUInt32BE(20)]
  }

  it.each(['0/11/grid', '1/11/grid', '0/11/2', '1/0/0', 'diversity/11'])('%s is SVG and PNG', async (path) => {
    const svg = await get(of(`${path}.svg?attempt=1`), { 'accept-encoding': 'gzip' })
    expect(svg.status).toBe(200)
    expect(svg.headers['content-type']).toBe('image/svg+xml; charset=utf-8')
    expect(svg.headers['content-encoding']).toBe('gzip')
    const text = gunzipSync(svg.body).toString()
    expect(text).toMatch(/^<svg [^>]*width="\d+" height="\d+"/)
    expect(text).toContain('gpt2-kv4')
    expect(text).toContain('SYNTHETIC WEIGHTS')
    expect(text).toContain('layer')
    const png = await get(of(`${path}.png?attempt=1&scale=2`), { 'accept-encoding': 'gzip' })
    expect(png.headers['content-type']).toBe('image/png')
    expect(png.headers['content-encoding']).toBeUndefined()
    const [, width, height] = /width="(\d+)" height="(\d+)"/.exec(text) ?? []
    expect(pngSize(png.body)).toEqual([2 * Number(width), 2 * Number(height)])
  })

  it('says whose map it is, who shares its K and V, and over which prompt', async () => {
    const text = textOf(await get(of('0/11/2.svg')))
    expect(text).toContain('Attention of gpt2-kv4, layer 11, head 2')
    expect(text).toContain('GQA: reads K/V head 0, shared by heads 0-2')
    expect(text).toContain('The quick brown fox')
    expect(text).not.toContain('Not finished')
  })

  it('is drawn for a light or a dark page', async () => {
    const [light, dark] = await Promise.all(['light', 'dark'].map((theme) => get(of(`0/11/grid.svg?theme=${theme}`))))
    expect(light?.body).not.toEqual(dark?.body)
    expect(light?.body).toEqual((await get(of('0/11/grid.svg'))).body)
  })

  it('is drawn from a coarser level where the map is long, and says so', async () => {
    expect(textOf(await get(of('1/11/grid.svg')))).toContain('maximum')
  })

  it('that is opened by itself runs and fetches nothing, whatever the prompt', async () => {
    const evil = `</text><script>alert(1)</script><image href="http://evil.example/x"/>&#x26;\u202e\u0007 ]]> "'`
    const hostile = await storeAttentionRun(db, {
      prompts: [{ text: evil, tokens: [...promptOf(evil).tokens, '\u0000', '\ud800'] }],
      layers: [0],
    })
    for (const path of ['0/0/grid.svg', '0/0/1.svg', 'diversity/0.svg']) {
      const answer = await get(of(path, hostile.id))
      const text = textOf(answer)
      expect(answer.status).toBe(200)
      expect(answer.headers['content-security-policy']).toContain("default-src 'none'")
      expect(answer.headers['content-security-policy']).toContain('sandbox')
      expect(answer.headers['x-content-type-options']).toBe('nosniff')
      expect(text).not.toMatch(/<script|<image [^>]*http|\son\w+=|javascript:/)
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
      expect(text).not.toMatch(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u202e\ufffe\uffff]/)
    }
    const png = await get(of('0/0/grid.png', hostile.id))
    expect(pngSize(png.body)[0]).toBeGreaterThan(100)
  })

  it('of a run that is not finished says so', async () => {
    const failed = await storeAttentionRun(db, { prompts: [prompts.short], layers: [0], status: 'FAILED' })
    expect(textOf(await get(of('0/0/grid.svg', failed.id)))).toContain('Not finished: the run is FAILED.')
  })
})

describe('an answer may be kept', () => {
  it('for good where the address names the attempt of a finished run', async () => {
    for (const path of ['0/11/grid.svg', '0/11/2.png', '0/11/2.npy', '1/0/0/0/0/0.f16', '0/overview.u8']) {
      const [named, unnamed] = await Promise.all([get(of(`${path}?attempt=1`)), get(of(path))])
      expect([named.headers['cache-control'], unnamed.headers['cache-control']], path).toEqual([kept, 'no-store'])
      const etag = String(named.headers.etag)
      expect(etag).toMatch(/^W\/"/)
      const again = await get(of(`${path}?attempt=1`), { 'if-none-match': `"other", ${etag}` })
      expect([again.status, again.body.length, again.headers['cache-control']], path).toEqual([304, 0, kept])
      const changed = await get(of(`${path}?attempt=1`), { 'if-none-match': '"other"' })
      expect(changed.status, path).toBe(200)
      expect((await get(of(path), { 'if-none-match': etag })).status).toBe(200)
    }
  })

  it('by nobody while the attempt goes on', async () => {
    const running = await storeAttentionRun(db, { prompts: [prompts.short], layers: [0], status: 'RUNNING' })
    const answer = await get(of('0/0/1.npy?attempt=1', running.id))
    expect([answer.status, answer.headers['cache-control'], answer.headers.etag]).toEqual([200, 'no-store', undefined])
  })

  it('and never shows another attempt than it names', async () => {
    const failed = await storeAttentionRun(db, { prompts: [prompts.short], layers: [0], status: 'FAILED' })
    const path = of('0/0/1.npy?attempt=1', failed.id)
    expect((await get(path)).status).toBe(200)
    await retryRun(db, failed.id)
    await take(db, failed.id, await storeWorker(db))
    const answer = await get(path)
    expect([answer.status, codesOf(answer), answer.headers['cache-control']]).toEqual([404, ['NOT_FOUND'], 'no-store'])
    expect(codesOf(await get(of('0/0/1.npy', failed.id)))).toEqual(['NOT_FOUND'])
  })
})

describe('an address is refused', () => {
  const nobody = '00000000-0000-4000-8000-000000000000'

  it.each([
    ['/runs/no-id/attention/0/11/2.svg', 404, 'NOT_FOUND'],
    [`/runs/${nobody}/attention/0/11/2.svg`, 404, 'NOT_FOUND'],
    ['/runs/%00/attention/0/11/2.svg', 404, 'NOT_FOUND'],
    ['/runs/%zz/attention/0/11/2.svg', 400, 'VALIDATION_FAILED'],
    ['/runs', 404, 'NOT_FOUND'],
    [of('0/11/2.gif'), 404, 'NOT_FOUND'],
    [of('0/11/12.svg'), 404, 'NOT_FOUND'],
    [of('0/5/grid.png'), 404, 'NOT_FOUND'],
    [of('7/11/grid.svg'), 404, 'NOT_FOUND'],
    [of('0/-1/2.svg'), 404, 'NOT_FOUND'],
    [of('0/1e1/2.svg'), 404, 'NOT_FOUND'],
    [of('0/99999999999999999999/2.svg'), 404, 'NOT_FOUND'],
    [of('0/11/__proto__.svg'), 404, 'NOT_FOUND'],
    [of("0/11/2'--.npy"), 404, 'NOT_FOUND'],
    [of('diversity/3.svg'), 404, 'NOT_FOUND'],
    [of('0/11/2.npy?attempt=2'), 404, 'NOT_FOUND'],
    [of('0/11/2.npy?attempt=x'), 400, 'VALIDATION_FAILED'],
    [of('0/11/2.npy?attempt=1&attempt=1'), 400, 'VALIDATION_FAILED'],
    [of('0/11/2.svg?theme=pink'), 400, 'VALIDATION_FAILED'],
    [of('0/11/2.png?scale=100'), 400, 'VALIDATION_FAILED'],
    [of('0/11/2.svg?__proto__=1'), 400, 'VALIDATION_FAILED'],
    [of('0/11/2.svg?colour=red'), 400, 'VALIDATION_FAILED'],
    [of('0/0/0/0/0/0.f16?statistic=median'), 400, 'VALIDATION_FAILED'],
    [of('0/overview.u8?layers=7-0'), 400, 'VALIDATION_FAILED'],
    [of('0/overview.u8?layers=a'), 400, 'VALIDATION_FAILED'],
  ])('%s', async (path, status, code) => {
    const answer = await get(path)
    expect([answer.status, codesOf(answer)]).toEqual([status, [code]])
    expect(answer.headers['content-type']).toContain('application/json')
    expect(answer.headers['cache-control']).toBe('no-store')
  })

  it('where a run of another kind has nothing there', async () => {
    const answer = await get(of('0/11/2.svg', await storeFinishedRun(db)))
    expect([answer.status, codesOf(answer), textOf(answer)]).toEqual([
      404,
      ['NOT_FOUND'],
      expect.stringContaining('BENCHMARK'),
    ])
  })

  it('with another method', async () => {
    for (const method of ['POST', 'DELETE', 'PUT']) expect((await get(of('0/11/2.svg'), {}, method)).status).toBe(404)
  })

  it('under a name that is not ours, or from a page of another site', async () => {
    const path = of('0/11/2.svg')
    const foreign = [
      { host: 'rebound.example' },
      { origin: 'http://evil.example' },
      { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' },
      { 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'no-cors' },
      { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'iframe' },
    ]
    for (const headers of foreign) {
      const answer = await get(path, headers)
      expect([answer.status, codesOf(answer)]).toEqual([403, ['FORBIDDEN']])
    }
    for (const headers of [
      { 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'no-cors' },
      { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' },
      { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' },
      { 'sec-fetch-site': 'none', 'sec-fetch-mode': 'navigate' },
    ]) {
      expect((await get(path, headers)).status).toBe(200)
    }
  })
})

describe('where tokens are asked for', async () => {
  const secret = 'a secret; with=odd % signs'
  const guarded = await startTestApi(url, { KVSCOPE_TOKENS: `ann:${secret}` })
  const ask = (headers: Record<string, string>, path = of('0/11/2.svg')) =>
    rawRequest(guarded.port, { path, headers: { host: `127.0.0.1:${guarded.port}`, ...headers } })

  it('a picture needs one, as a header or as the cookie', async () => {
    const cookie = `other=1; kvscope_token=${encodeURIComponent(secret)}`
    expect((await ask({ cookie })).status).toBe(200)
    for (const headers of [
      {},
      { cookie: 'kvscope_token=wrong' },
      { cookie: 'kvscope_token=%zz' },
      { authorization: 'Bearer no' },
    ]) {
      const answer = await ask(headers)
      expect([answer.status, codesOf(answer)]).toEqual([401, ['UNAUTHENTICATED']])
    }
  })

  it('a browser keeps an answer for the token that it was given to', async () => {
    const known = await ask({ cookie: `kvscope_token=${encodeURIComponent(secret)}` }, of('0/11/2.svg?attempt=1'))
    expect(known.headers['cache-control']).toBe(kept)
    expect(String(known.headers.vary).split(', ')).toEqual(['Authorization', 'Cookie', 'Accept-Encoding'])
    const { status } = await ask({ 'if-none-match': String(known.headers.etag) }, of('0/11/2.svg?attempt=1'))
    expect(status).toBe(401)
  })

  it('the cookie opens nothing but files', async () => {
    const { errors } = await guarded.request(
      '{ health { database } }',
      {},
      { cookie: `kvscope_token=${encodeURIComponent(secret)}` },
    )
    expect(errors?.[0]?.extensions.code).toBe('UNAUTHENTICATED')
  })
})
