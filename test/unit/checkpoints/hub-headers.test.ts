import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { openRemoteHeaders, readRemoteBytes } from '../../../src/checkpoints/hub-headers.ts'
import { connectHub, type Hub } from '../../../src/checkpoints/hub-request.ts'
import { openCheckpoint } from '../../../src/checkpoints/open.ts'
import { safetensorsHeader } from '../../../src/checkpoints/safetensors-header.ts'
import { readConfig } from '../../../src/config.ts'
import { startTestHub, type TestHub } from '../../support/hub-server.ts'
import { pytorchFile } from '../../support/pytorch-archive.ts'
import { writeTinyCheckpoint } from '../../support/tiny-checkpoint.ts'

const home = mkdtempSync(join(tmpdir(), 'kvscope-hub-headers-'))
let server: TestHub
let folder: string
let commit: string

beforeAll(async () => {
  server = await startTestHub()
  folder = await writeTinyCheckpoint(join(home, 'tiny'))
  commit = server.pushFolder('lab/tiny', folder)
})
afterAll(() => server.close())
beforeEach(() => {
  server.requests.length = 0
})

const hubOf = (variables: Record<string, string> = {}): Promise<Hub> =>
  connectHub(readConfig({ HF_ENDPOINT: server.url, HF_HOME: home, ...variables }).hub, null, {
    attempts: 3,
    firstWaitMs: 1,
    longestWaitMs: 2000,
    stallMs: 200,
  })

describe('the headers of a hub model', () => {
  it('are those of the same folder on disk', async () => {
    const remote = await openRemoteHeaders(await hubOf(), { repo: 'lab/tiny', revision: 'main' })
    const local = await openCheckpoint(folder)
    const placeless = (tensors: ReadonlyMap<string, { file: string }>) =>
      [...tensors].map(([name, entry]) => [name, { ...entry, file: '' }])
    expect(remote).toMatchObject({ commit, config: local.config, synthetic: local.synthetic })
    expect(placeless(remote.tensors)).toEqual(placeless(local.tensors))
  })

  it('are those of pytorch_model.bin where there are no safetensors, in place and without its weights', async () => {
    const values = Float32Array.from({ length: 200_000 }, (_, index) => index)
    const bin = pytorchFile([
      { name: 'transformer.wte.weight', shape: [1000, 200], values },
      { name: 'transformer.ln_f.weight', shape: [3], values: values.slice(0, 3) },
    ])
    server.push('lab/torch', { 'config.json': '{"model_type":"gpt2"}', 'pytorch_model.bin': bin })
    const hub = await hubOf()
    const remote = await openRemoteHeaders(hub, { repo: 'lab/torch', revision: 'main' })
    expect(remote.tensors.get('wte.weight')).toMatchObject({ dtype: 'F32', shape: [1000, 200] })
    expect(remote.bytesFetched).toBeLessThan(80_000)
    const { offset = 0, file = '' } = remote.tensors.get('ln_f.weight') ?? {}
    const bytes = await readRemoteBytes(hub, remote, file, { offset, length: 12 })
    expect([0, 4, 8].map((at) => bytes.readFloatLE(at))).toEqual([0, 1, 2])
  })

  it('cost a request of 64 KiB, however large the weights are', async () => {
    const rows = 100_000
    const header = safetensorsHeader([{ name: 'wte.weight', dtype: 'F32', shape: [rows, 16] }], {})
    const weights = Buffer.concat([header, Buffer.alloc(rows * 16 * 4)])
    server.push('lab/large', { 'config.json': '{"model_type":"gpt2"}', 'model.safetensors': weights })
    const { bytesFetched, tensors } = await openRemoteHeaders(await hubOf(), { repo: 'lab/large', revision: 'main' })
    const sent = server.requests.filter(({ host }) => host === 'cdn').map((request) => request.sent)
    expect(tensors.get('wte.weight')?.shape).toEqual([rows, 16])
    expect(sent).toEqual([65_536])
    expect(bytesFetched).toBe(65_536 + 21)
  })

  it('are read further where they are longer than the first request', async () => {
    const names = Array.from({ length: 2000 }, (_, index) => `h.${index}.attn.c_attn.weight.of.a.long.name`)
    const header = safetensorsHeader(
      names.map((name) => ({ name, dtype: 'F32', shape: [1] })),
      {},
    )
    server.push('lab/long', { 'config.json': '{}', 'model.safetensors': Buffer.concat([header, Buffer.alloc(8000)]) })
    const { tensors, bytesFetched } = await openRemoteHeaders(await hubOf(), { repo: 'lab/long', revision: 'main' })
    expect([...tensors.keys()]).toEqual(names)
    expect(bytesFetched).toBe(header.length + 2)
  })

  it('name the same tensor of every shard that the index names', async () => {
    const shard = (name: string) =>
      Buffer.concat([safetensorsHeader([{ name, dtype: 'F16', shape: [2] }], {}), Buffer.alloc(4)])
    const map = { a: '1.safetensors', b: '2.safetensors' }
    const files = {
      'config.json': '{}',
      'model.safetensors.index.json': JSON.stringify({ weight_map: map }),
      '1.safetensors': shard('a'),
      '2.safetensors': shard('b'),
    }
    server.push('lab/shards', files)
    const { tensors } = await openRemoteHeaders(await hubOf(), { repo: 'lab/shards', revision: 'main' })
    expect([...tensors.values()].map(({ name, file }) => [name, file])).toEqual(Object.entries(map))
    server.push('lab/shards', { ...files, '2.safetensors': shard('c') }, 'refs/pr/4')
    await expect(openRemoteHeaders(await hubOf(), { repo: 'lab/shards', revision: 'refs/pr/4' })).rejects.toMatchObject(
      {
        code: 'CHECKPOINT_INVALID',
        message: 'model.safetensors.index.json puts tensor "b" into 2.safetensors, which does not hold it',
      },
    )
  })

  it('are refused where the repository holds no model', async () => {
    server.push('lab/words', { 'README.md': 'words' })
    await expect(openRemoteHeaders(await hubOf(), { repo: 'lab/words', revision: 'main' })).rejects.toThrow(
      'lab/words at main has no config.json',
    )
  })

  it('give bytes from the middle of a file, also of a server that knows no ranges', async () => {
    const bytes = Buffer.from(Array.from({ length: 5000 }, (_, index) => index % 251))
    const model = { repo: 'lab/bytes', revision: 'main', commit: server.push('lab/bytes', { 'x.bin': bytes }) }
    const place = { offset: 1234, length: 2000 }
    expect(await readRemoteBytes(await hubOf(), model, 'x.bin', place)).toEqual(bytes.subarray(1234, 3234))
    server.failNext('x.bin', { ignoreRange: true })
    expect(await readRemoteBytes(await hubOf(), model, 'x.bin', place)).toEqual(bytes.subarray(1234, 3234))
  })
})

const model = { repo: 'lab/tiny', revision: 'main' }

describe('a hub that does not serve', () => {
  it.each([
    ['nobody/nothing', 'main', 'NOT_FOUND', 'shows no model nobody/nothing: it does not exist, or it is private'],
    ['lab/tiny', 'v9', 'NOT_FOUND', 'lab/tiny has no revision "v9"'],
    ['../../etc', 'main', 'VALIDATION_FAILED', '"../../etc" is no repository\'s name'],
    ['lab/tiny', '../../../x', 'VALIDATION_FAILED', '"../../../x" is no revision\'s name'],
  ])('says of %s at %s that it is %s', async (repo, revision, code, message) => {
    await expect(openRemoteHeaders(await hubOf(), { repo, revision })).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message),
    })
  })

  it('shows a private model to its token only, whose text no error repeats', async () => {
    server.pushFolder('lab/private', folder)
    server.protect('lab/private', 'hf_right')
    const asked = { repo: 'lab/private', revision: 'main' }
    await expect(openRemoteHeaders(await hubOf(), asked)).rejects.toMatchObject({
      code: 'NOT_FOUND',
      hint: expect.stringContaining('HF_TOKEN'),
    })
    const wrong = await openRemoteHeaders(await hubOf({ HF_TOKEN: 'hf_wrong' }), asked).catch((error: unknown) => error)
    expect(wrong).toMatchObject({ code: 'NOT_FOUND' })
    expect(JSON.stringify(wrong) + String(wrong)).not.toContain('hf_wrong')
    expect(await openRemoteHeaders(await hubOf({ HF_TOKEN: 'hf_right\n' }), asked)).toMatchObject({ repo: asked.repo })
  })

  it('sends the token to the hub and to no other origin', async () => {
    await openRemoteHeaders(await hubOf({ HF_TOKEN: 'hf_mine' }), model)
    const seen = (host: string) =>
      new Set(server.requests.filter((request) => request.host === host).map(({ authorization }) => authorization))
    expect(seen('hub')).toEqual(new Set(['Bearer hf_mine']))
    expect(seen('cdn')).toEqual(new Set([null]))
  })

  it('says where the conditions of a gated model are accepted', async () => {
    server.pushFolder('lab/gated', folder)
    server.protect('lab/gated', 'hf_granted', 'gated')
    await expect(openRemoteHeaders(await hubOf(), { repo: 'lab/gated', revision: 'main' })).rejects.toMatchObject({
      code: 'HUB_ACCESS_DENIED',
      message: expect.stringContaining('lab/gated is gated'),
      hint: expect.stringContaining(`${server.url}/lab/gated`),
    })
  })

  it('waits as long as a rate limit asks, and says so where that is too long', async () => {
    server.failNext('/tree/', { status: 429, headers: { 'retry-after': '1' } })
    const start = performance.now()
    expect(await openRemoteHeaders(await hubOf(), model)).toMatchObject({ commit })
    expect(performance.now() - start).toBeGreaterThan(990)
    server.failNext('/tree/', { status: 429, headers: { 'retry-after': '3600' } })
    await expect(openRemoteHeaders(await hubOf(), model)).rejects.toMatchObject({ code: 'HUB_RATE_LIMITED' })
  })

  it('is asked again where it fails, breaks off or falls silent, and not for ever', async () => {
    server.failNext('/revision/', { status: 503 })
    server.failNext('model.safetensors', { breakAfter: 100 }, { stallAfter: 100 })
    expect(await openRemoteHeaders(await hubOf(), model)).toMatchObject({ commit })
    server.failNext('/revision/', { status: 502 }, { status: 502 }, { status: 502 })
    await expect(openRemoteHeaders(await hubOf(), model)).rejects.toMatchObject({ code: 'HUB_UNAVAILABLE' })
  })

  it('is named where nobody listens, and what answers is no hub', async () => {
    await expect(openRemoteHeaders(await hubOf({ HF_ENDPOINT: 'http://127.0.0.1:9' }), model)).rejects.toMatchObject({
      code: 'HUB_UNAVAILABLE',
      message: expect.stringContaining('http://127.0.0.1:9 could not be asked for lab/tiny'),
    })
  })

  it('is not asked under HF_HUB_OFFLINE', async () => {
    await expect(openRemoteHeaders(await hubOf({ HF_HUB_OFFLINE: '1' }), model)).rejects.toMatchObject({
      code: 'HUB_UNAVAILABLE',
      message: expect.stringContaining('HF_HUB_OFFLINE'),
    })
    expect(server.requests).toEqual([])
  })
})
