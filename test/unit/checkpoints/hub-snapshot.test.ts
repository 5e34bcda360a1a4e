import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, symlinkSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { readModelConfig } from '../../../src/architecture/read-config.ts'
import { nameOfFolder, repoCache } from '../../../src/checkpoints/hub-cache.ts'
import { connectHub, type Hub } from '../../../src/checkpoints/hub-request.ts'
import { fetchSnapshot, findSnapshot, pinModel } from '../../../src/checkpoints/hub-snapshot.ts'
import { openCheckpoint } from '../../../src/checkpoints/open.ts'
import { readConfig } from '../../../src/config.ts'
import { loadModel } from '../../../src/models/runner.ts'
import { startTestHub, type TestHub } from '../../support/hub-server.ts'
import { pytorchFile } from '../../support/pytorch-archive.ts'
import { rewriteCheckpoint } from '../../support/rewritten-checkpoint.ts'
import { writeTinyCheckpoint } from '../../support/tiny-checkpoint.ts'

const home = mkdtempSync(join(tmpdir(), 'kvscope-hub-'))
const model = { repo: 'lab/tiny', revision: 'main' }
let server: TestHub
let folder: string
let commit: string

beforeAll(async () => {
  server = await startTestHub()
  folder = await writeTinyCheckpoint(join(home, 'tiny'))
  await writeFile(join(folder, 'README.md'), 'words')
  await writeFile(join(folder, 'pytorch_model.bin'), Buffer.alloc(5000))
  commit = server.pushFolder('lab/tiny', folder)
})
afterAll(() => server.close())
beforeEach(() => {
  server.requests.length = 0
})

const caches: string[] = []
/** A hub with a cache of its own, or with `cache`. */
const hubOf = (cache = mkdtempSync(join(home, 'cache-')), variables: Record<string, string> = {}): Promise<Hub> => {
  caches.push(cache)
  return connectHub(
    readConfig({ HF_ENDPOINT: server.url, HF_HOME: home, HF_HUB_CACHE: cache, ...variables }).hub,
    null,
    {
      attempts: 2,
      firstWaitMs: 1,
      longestWaitMs: 100,
      stallMs: 300,
    },
  )
}
afterAll(() => Promise.all(caches.map((cache) => rm(cache, { recursive: true, force: true }))))

const fetchModel = async (hub: Hub, asked = model, onDownload = (_done: number, _total: number) => {}) =>
  fetchSnapshot(hub, await pinModel(hub, asked), onDownload)
const weightsBytes = () => readFileSync(join(folder, 'model.safetensors'))
/** @returns the hash that names the weights' blob */
async function fetchAllButWeights(hub: Hub): Promise<string> {
  const link = join(await fetchModel(hub), 'model.safetensors')
  const blob = join(dirname(link), readlinkSync(link))
  await Promise.all([rm(link), rm(blob)])
  return basename(blob)
}
const bodies = () =>
  server.requests.filter(({ host }) => host === 'cdn' || host === 'hub').filter(({ sent }) => sent > 0)

describe('a model that is fetched', () => {
  it('is the checkpoint that was pushed, in the layout that Python shares', async () => {
    const hub = await hubOf()
    const progress: number[] = []
    const snapshot = await fetchModel(hub, model, (done, total) => progress.push(done / total))
    const { blobs, refs, snapshots } = repoCache(hub.settings.cacheDir, 'lab/tiny')
    expect(snapshot).toBe(join(snapshots, commit))
    expect(readFileSync(join(refs, 'main'), 'utf8')).toBe(commit)
    expect(readlinkSync(join(snapshot, 'config.json'))).toMatch(/^\.\.\/\.\.\/blobs\/[0-9a-f]{40}$/)
    expect(readlinkSync(join(snapshot, 'model.safetensors'))).toMatch(/^\.\.\/\.\.\/blobs\/[0-9a-f]{64}$/)
    expect(readFileSync(join(snapshot, 'model.safetensors'))).toEqual(weightsBytes())
    expect(progress.at(-1)).toBe(1)

    const [fetched, pushed] = await Promise.all([openCheckpoint(snapshot), openCheckpoint(folder)])
    expect(fetched.fingerprint).toBe(pushed.fingerprint)
    expect(fetched.tensors.get('wte.weight')?.file.startsWith(`${blobs}/`)).toBe(true)
    expect(nameOfFolder(snapshot)).toBe('tiny')
  })

  it('is fetched without what kvscope does not read, and once', async () => {
    const hub = await hubOf()
    const snapshot = await fetchModel(hub)
    const names = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json']
    expect(readdirSync(snapshot).sort()).toEqual(names)
    server.requests.length = 0
    expect(await fetchSnapshot(hub, { ...model, commit }, () => undefined)).toBe(snapshot)
    expect(server.requests).toEqual([])
  })

  it('shares files between the commits of a repository', async () => {
    const hub = await hubOf()
    await fetchModel(hub)
    const other = server.push('lab/tiny', { 'generation_config.json': '{"eos_token_id":7}' }, 'refs/pr/1')
    server.pushFolder('lab/tiny', folder, 'refs/pr/1')
    server.requests.length = 0
    const snapshot = await fetchModel(hub, { repo: 'lab/tiny', revision: 'refs/pr/1' })
    expect(other).not.toBe(commit)
    expect(readFileSync(join(snapshot, 'generation_config.json'), 'utf8')).toBe('{"eos_token_id":7}')
    expect(server.requests.filter(({ path }) => path.includes('model.safetensors'))).toEqual([])
  })

  it('is found by its branch without a network, and what is not there is refused', async () => {
    const cache = mkdtempSync(join(home, 'cache-'))
    const snapshot = await fetchModel(await hubOf(cache))
    server.requests.length = 0
    const offline = await hubOf(cache, { HF_HUB_OFFLINE: '1' })
    expect(await fetchModel(offline)).toBe(snapshot)
    for (const asked of [
      { ...model, revision: 'other' },
      { repo: 'lab/none', revision: 'main' },
    ]) {
      await expect(fetchModel(offline, asked)).rejects.toMatchObject({ code: 'HUB_UNAVAILABLE' })
    }
    expect(server.requests).toEqual([])
  })

  it('is looked at where Python has fetched it, which small files it lacks or not', async () => {
    const hub = await hubOf()
    const snapshot = await fetchModel(hub)
    await rm(repoCache(hub.settings.cacheDir, 'lab/tiny').absent, { recursive: true })
    server.requests.length = 0
    expect(await findSnapshot(hub, { ...model, commit }, 'weights')).toBe(snapshot)
    expect(await findSnapshot(hub, { ...model, commit })).toBeNull()
    expect(await fetchModel(hub)).toBe(snapshot)
    expect(bodies()).toEqual([])
  })

  it('runs from its shards as the same weights in one file do', async () => {
    const whole = await openCheckpoint(folder)
    server.pushFolder('lab/three', await rewriteCheckpoint(whole, join(home, 'shards'), { dtype: 'F32', shards: 3 }))
    server.pushFolder('lab/single', await rewriteCheckpoint(whole, join(home, 'one'), { dtype: 'F32' }))
    const logitsOf = async (repo: string) => {
      const checkpoint = await openCheckpoint(await fetchModel(await hubOf(), { repo, revision: 'main' }))
      const files = new Set([...checkpoint.tensors.values()].map(({ file }) => file)).size
      const options = { provider: 'cpu', threads: 1 } as const
      const running = await loadModel(checkpoint, readModelConfig(checkpoint.config, repo), options)
      const { data } = await running.forward([[1, 2, 3]], running.createCache())
      await running.close()
      return { files, data }
    }
    const [shards, one] = [await logitsOf('lab/three'), await logitsOf('lab/single')]
    expect([shards.files, one.files]).toEqual([3, 1])
    expect(shards.data).toEqual(one.data)
  })

  it('is refused where its index names a shard that is not there', async () => {
    const index = JSON.stringify({ weight_map: { a: '1.safetensors' } })
    server.push('lab/torn', { 'config.json': '{}', 'model.safetensors.index.json': index })
    await expect(fetchModel(await hubOf(), { repo: 'lab/torn', revision: 'main' })).rejects.toMatchObject({
      code: 'CHECKPOINT_INVALID',
      message: expect.stringContaining('has no 1.safetensors'),
    })
  })

  it('is one model for two that fetch it at the same time', async () => {
    const cache = mkdtempSync(join(home, 'cache-'))
    const [one, two] = await Promise.all([fetchModel(await hubOf(cache)), fetchModel(await hubOf(cache))])
    expect(one).toBe(two)
    expect((await openCheckpoint(one)).tensors.size).toBeGreaterThan(0)
    expect(readdirSync(repoCache(cache, 'lab/tiny').blobs).filter((name) => name.includes('incomplete'))).toEqual([])
  })
})

describe('a download that breaks off', () => {
  it('goes on where it stopped, within one call and in the next', async () => {
    const hub = await hubOf()
    server.failNext('model.safetensors', { breakAfter: 3000 }, { stallAfter: 4000 })
    await expect(fetchModel(hub)).rejects.toMatchObject({ code: 'HUB_UNAVAILABLE' })
    expect(await findSnapshot(hub, { ...model, commit })).toBeNull()
    const { blobs } = repoCache(hub.settings.cacheDir, 'lab/tiny')
    const [left] = readdirSync(blobs).filter((name) => name.endsWith('.incomplete'))
    expect(readFileSync(join(blobs, left ?? ''))).toEqual(weightsBytes().subarray(0, 7000))

    const snapshot = await fetchModel(hub)
    expect(readFileSync(join(snapshot, 'model.safetensors'))).toEqual(weightsBytes())
    const ranges = bodies().flatMap(({ path, range }) => (path.includes('model.safetensors') ? [range] : []))
    expect(ranges).toEqual([null, 'bytes=3000-', 'bytes=7000-'])
  })

  it('begins anew where the server sends everything whatever is asked for', async () => {
    const hub = await hubOf()
    server.failNext('model.safetensors', { breakAfter: 3000 }, { ignoreRange: true })
    const snapshot = await fetchModel(hub)
    expect(readFileSync(join(snapshot, 'model.safetensors'))).toEqual(weightsBytes())
  })

  it('goes on from what a killed process left', async () => {
    const hub = await hubOf()
    const { blobs } = repoCache(hub.settings.cacheDir, 'lab/tiny')
    const digest = await fetchAllButWeights(hub)
    await writeFile(join(blobs, `${digest}.incomplete`), weightsBytes().subarray(0, 2000))
    server.requests.length = 0
    await fetchModel(hub)
    expect(bodies().map(({ range }) => range)).toEqual(['bytes=2000-'])
  })
})

describe('a download that comes wrong', () => {
  it('is refused by its hash, removed, and right the next time', async () => {
    const hub = await hubOf()
    server.failNext('model.safetensors', { corrupt: true })
    await expect(fetchModel(hub)).rejects.toMatchObject({
      code: 'CHECKPOINT_INVALID',
      message: expect.stringMatching(/^model\.safetensors of lab\/tiny came with the sha256 [0-9a-f]{64}, and the hub/),
    })
    expect(await findSnapshot(hub, { ...model, commit })).toBeNull()
    expect(readFileSync(join(await fetchModel(hub), 'model.safetensors'))).toEqual(weightsBytes())
  })

  it('is refused by its hash where it was kept from another file', async () => {
    const hub = await hubOf()
    const { blobs } = repoCache(hub.settings.cacheDir, 'lab/tiny')
    const digest = await fetchAllButWeights(hub)
    await writeFile(join(blobs, `${digest}.incomplete`), Buffer.alloc(2000, 1))
    await expect(fetchModel(hub)).rejects.toMatchObject({ code: 'CHECKPOINT_INVALID' })
    expect(readFileSync(join(await fetchModel(hub), 'model.safetensors'))).toEqual(weightsBytes())
  })

  it('is refused by its hash where it lies in Git, too', async () => {
    const hub = await hubOf()
    server.failNext('/config.json', { corrupt: true })
    await expect(fetchModel(hub)).rejects.toThrow(/^config\.json of lab\/tiny came with the git-sha1 /)
  })

  it.runIf(existsSync('/dev/full'))('says that the disk is full, and not that the hub failed', async () => {
    const hub = await hubOf()
    const { blobs } = repoCache(hub.settings.cacheDir, 'lab/tiny')
    const digest = await fetchAllButWeights(hub)
    symlinkSync('/dev/full', join(blobs, `${digest}.incomplete`))
    await expect(fetchModel(hub)).rejects.toMatchObject({
      code: 'OUT_OF_DISK',
      hint: expect.stringContaining('HF_HUB_CACHE'),
    })
  })

  it.runIf(process.getuid?.() !== 0)('says that the cache may not be written', async () => {
    const locked = join(home, 'locked')
    mkdirSync(locked, { mode: 0o500 })
    await expect(fetchModel(await hubOf(locked))).rejects.toMatchObject({ code: 'VALIDATION_FAILED' })
  })
})

describe('a repository without safetensors', () => {
  const values = Float32Array.from([1, 2, 3])

  it('gives its pytorch_model.bin, alone or in shards', async () => {
    const bin = pytorchFile([{ name: 'wte.weight', shape: [3], values }])
    server.push('lab/torch', { 'config.json': '{}', 'pytorch_model.bin': bin })
    const index = JSON.stringify({ weight_map: { 'wte.weight': 'pytorch_model-00001-of-00001.bin' } })
    server.push('lab/shards', {
      'config.json': '{}',
      'pytorch_model.bin.index.json': index,
      'pytorch_model-00001-of-00001.bin': bin,
    })
    for (const repo of ['lab/torch', 'lab/shards']) {
      const hub = await hubOf()
      const asked = { repo, revision: 'main' }
      const checkpoint = await openCheckpoint(await fetchModel(hub, asked))
      expect(checkpoint.tensors.get('wte.weight')?.shape).toEqual([3])
      expect(await findSnapshot(hub, await pinModel(hub, asked))).toBe(checkpoint.directory)
    }
  })

  it('is refused before anything is fetched where it has no weights that are read, and what it has is named', async () => {
    server.push('lab/old', { 'config.json': '{}', 'tf_model.h5': Buffer.alloc(2000) })
    await expect(fetchModel(await hubOf(), { repo: 'lab/old', revision: 'main' })).rejects.toMatchObject({
      code: 'CHECKPOINT_INVALID',
      message: expect.stringMatching(/^lab\/old at main has neither model\.safetensors nor .*, but tf_model\.h5$/),
    })
    expect(bodies()).toEqual([])
  })
})
