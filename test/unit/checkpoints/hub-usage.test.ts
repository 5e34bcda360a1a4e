import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { planPrune, prune, scanCache } from '../../../src/checkpoints/hub-usage.ts'

const root = mkdtempSync(join(tmpdir(), 'kvscope-hub-usage-'))
let cache: string
beforeEach(() => {
  cache = mkdtempSync(join(root, 'cache-'))
})
afterAll(() => rm(root, { recursive: true }))

const [old, now] = ['a'.repeat(40), 'b'.repeat(40)]

/** A model as Python leaves it: files of two commits, of which one is shared and one lies in a folder. */
function writeModel(folder = 'models--lab--tiny'): string {
  const model = join(cache, folder)
  const put = (path: string, text: string) => {
    mkdirSync(join(model, path, '..'), { recursive: true })
    writeFileSync(join(model, path), text)
  }
  for (const [blob, bytes] of [
    ['shared', 100],
    ['before', 20],
    ['after', 3],
    ['export', 7],
  ] as const) {
    put(`blobs/${blob}`, 'x'.repeat(bytes))
  }
  const link = (commit: string, file: string, blob: string) => {
    const path = join(model, 'snapshots', commit, file)
    mkdirSync(join(path, '..'), { recursive: true })
    symlinkSync(join(file.includes('/') ? '../../..' : '../..', 'blobs', blob), path)
  }
  link(old, 'config.json', 'before')
  link(old, 'model.safetensors', 'shared')
  link(now, 'config.json', 'after')
  link(now, 'model.safetensors', 'shared')
  link(now, 'onnx/model.onnx', 'export')
  put('refs/main', now)
  put('refs/refs/pr/1', now)
  return model
}

describe('the cache as it is listed', () => {
  it('is empty where there is none', async () => {
    expect(await scanCache(join(cache, 'nowhere'))).toEqual([])
  })

  it('names each commit with its refs, and counts shared files once', async () => {
    writeModel()
    mkdirSync(join(cache, 'datasets--lab--words'))
    writeFileSync(join(cache, 'version.txt'), '1')
    const [model, ...others] = await scanCache(cache)
    expect(others).toEqual([])
    expect(model).toMatchObject({ repo: 'lab/tiny', bytes: 130, unused: [] })
    const shown = model?.revisions.map(({ commit, refs, files, bytes }) => ({
      commit,
      refs: refs.sort(),
      files,
      bytes,
    }))
    expect(shown).toEqual([
      { commit: old, refs: [], files: 2, bytes: 120 },
      { commit: now, refs: ['main', 'refs/pr/1'], files: 3, bytes: 110 },
    ])
  })
})

describe('pruning', () => {
  it('takes commits that no ref leads to with what only they use, and leaves the rest', async () => {
    const model = writeModel()
    writeFileSync(join(model, 'blobs', 'gone'), 'x'.repeat(50))
    const plan = planPrune(await scanCache(cache), [])
    expect(plan.revisions.map(({ commit }) => commit)).toEqual([old])
    expect(plan.bytes).toBe(70)
    await prune(plan)
    expect(readdirSync(join(model, 'blobs')).sort()).toEqual(['after', 'export', 'shared'])
    expect(readFileSync(join(model, 'snapshots', now, 'onnx/model.onnx'), 'utf8')).toBe('xxxxxxx')
    expect(planPrune(await scanCache(cache), [])).toEqual({ models: [], revisions: [], blobs: [], bytes: 0 })
  })

  it('takes what was left unfinished, and not what may still be written', async () => {
    const model = writeModel()
    for (const name of ['one.incomplete', 'two.incomplete']) writeFileSync(join(model, 'blobs', name), 'part')
    utimesSync(join(model, 'blobs', 'one.incomplete'), 1, 1)
    const { blobs } = planPrune(await scanCache(cache), [])
    expect(blobs.map(({ path }) => path.slice(path.lastIndexOf('/') + 1)).sort()).toEqual(['before', 'one.incomplete'])
  })

  it('takes the models named as a whole, and no other', async () => {
    const [first, second] = [writeModel(), writeModel('models--lab--other')]
    const plan = planPrune(await scanCache(cache), ['lab/other'])
    expect(plan).toMatchObject({ models: [{ repo: 'lab/other' }], bytes: 130 })
    await prune(plan)
    expect([existsSync(first), existsSync(second)]).toEqual([true, false])
  })
})
