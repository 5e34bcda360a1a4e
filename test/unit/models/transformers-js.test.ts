import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { writePeerExport } from '../../../bench/peer-folder.ts'
import { kvCacheBytes } from '../../../src/architecture/kv-bytes.ts'
import type { ModelConfig } from '../../../src/architecture/model-config.ts'
import { readModelConfig } from '../../../src/architecture/read-config.ts'
import { type ExportedCheckpoint, openExport } from '../../../src/checkpoints/onnx-export.ts'
import { openCheckpoint } from '../../../src/checkpoints/open.ts'
import { argmax } from '../../../src/models/generate.ts'
import { loadModel, type RunnableModel } from '../../../src/models/runner.ts'
import { loadExport } from '../../../src/models/transformers-js.ts'
import { largestDifference } from '../../support/golden.ts'
import { rewriteCheckpoint } from '../../support/rewritten-checkpoint.ts'
import { writeTinyCheckpoint } from '../../support/tiny-checkpoint.ts'

let folder: string
let checkpoint: ExportedCheckpoint
let config: ModelConfig
let peer: RunnableModel
let own: RunnableModel

const tokens = (count: number, step = 7) => Array.from({ length: count }, (_, index) => (step * index + 3) % 256)

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kvscope-peer-'))
  const directory = await writeTinyCheckpoint(join(folder, 'tiny'))
  const stored = await openCheckpoint(directory)
  config = readModelConfig(stored.config, 'tiny')
  await writePeerExport(directory, { checkpoint: stored, config }, { attention: 'decomposed', logits: 'all' })
  checkpoint = await openExport(directory, null)
  peer = await loadExport(checkpoint, config, 1)
  own = await loadModel(stored, config, { provider: 'cpu', threads: 1 })
})
afterAll(async () => {
  await peer.close()
  await own.close()
  await rm(folder, { recursive: true })
})

/** Logits of each step, of the steps of every model over a cache of its own. */
async function logitsOf(model: RunnableModel, steps: readonly (readonly number[])[][]): Promise<Float32Array[]> {
  const cache = model.createCache(steps[0]?.length ?? 1)
  const logits: Float32Array[] = []
  for (const step of steps) logits.push((await model.forward(step, cache)).data)
  return logits
}

async function greedy(model: RunnableModel, prompt: readonly number[], count: number): Promise<number[]> {
  const cache = model.createCache()
  const chosen: number[] = []
  let next = [...prompt]
  while (chosen.length < count) {
    const token = argmax((await model.forward([next], cache)).data)
    chosen.push(token)
    next = [token]
  }
  return chosen
}

describe('a model that transformers.js runs', () => {
  it.each([1, 9, 64])('chooses the same 20 tokens as our engine on the same weights after %i', async (length) => {
    expect(await greedy(peer, tokens(length), 20)).toEqual(await greedy(own, tokens(length), 20))
  })

  it('computes the logits of our engine at every depth, in steps of any size and in batches', async () => {
    const sizes = [5, 1, 1, 32, 1]
    let position = 0
    const steps = sizes.map((size) => {
      position += size
      return [tokens(position).slice(position - size), tokens(position, 11).slice(position - size)]
    })
    const [theirs, ours] = [await logitsOf(peer, steps), await logitsOf(own, steps)]
    for (const [index, logits] of theirs.entries()) {
      const expected = ours[index] ?? new Float32Array(0)
      expect(logits.length).toBe(2 * 256)
      expect(largestDifference(logits, expected)).toBeLessThan(1e-5 * Math.max(...expected.map(Math.abs)))
    }
  })

  it('measures the cache that a step was fed, which is what the formula says', async () => {
    const cache = peer.createCache(2)
    await peer.forward([tokens(30), tokens(30)], cache)
    expect([cache.fedLength, cache.measuredBytes(), cache.length]).toEqual([0, 0, 30])
    await peer.forward([[1], [2]], cache)
    expect([cache.fedLength, cache.length]).toEqual([30, 31])
    expect(cache.measuredBytes()).toBe(kvCacheBytes(config, { contextLength: 30, batch: 2, bitsPerValue: 32 }))
    expect(cache.allocatedBytes()).toBe(kvCacheBytes(config, { contextLength: 31, batch: 2, bitsPerValue: 32 }))
  })

  it('goes on from a cache that was cut back as if nothing had followed, however often', async () => {
    const cache = peer.createCache(2)
    await peer.forward([tokens(12), tokens(12, 5)], cache)
    const first = await peer.forward([[9], [8]], cache)
    for (let trial = 0; trial < 3; trial += 1) {
      await peer.forward([tokens(4, 13), tokens(4, 17)], cache)
      cache.truncate(12)
      expect(cache.length).toBe(12)
      const again = await peer.forward([[9], [8]], cache)
      expect(again.data).toEqual(first.data)
      // The rows cut back to are kept beside those of the step: both are memory.
      expect(cache.allocatedBytes()).toBe(kvCacheBytes(config, { contextLength: 12 + 13, batch: 2, bitsPerValue: 32 }))
    }
    cache.truncate(0)
    expect((await peer.forward([tokens(12), tokens(12, 5)], cache)).data.length).toBe(512)
    expect(cache.length).toBe(12)
  })

  it('does not take rows of an earlier cut for those of a later one', async () => {
    const cache = peer.createCache()
    await peer.forward([tokens(10)], cache)
    cache.truncate(8)
    cache.truncate(4)
    await peer.forward([tokens(6, 29)], cache)
    cache.truncate(8)
    const cut = await peer.forward([[77]], cache)
    const [, expected] = await logitsOf(peer, [[[...tokens(4), ...tokens(4, 29)]], [[77]]])
    expect(largestDifference(cut.data, expected ?? [])).toBeLessThan(1e-5)
  })

  it('refuses tokens and lengths that the model does not have, before the library reads beyond a table', async () => {
    const cache = peer.createCache()
    await expect(peer.forward([[256]], cache)).rejects.toMatchObject({ code: 'VALIDATION_FAILED' })
    await expect(peer.forward([tokens(129)], cache)).rejects.toMatchObject({ code: 'CONTEXT_EXCEEDED' })
  })

  it('caches half-floats where an export in fp16 does, at half the bytes', async () => {
    const rewritten = await rewriteCheckpoint(checkpoint, join(folder, 'halves'), { dtype: 'F16' })
    const stored = await openCheckpoint(rewritten)
    const graph = { attention: 'decomposed', logits: 'last', elementType: 'float16' } as const
    await writePeerExport(rewritten, { checkpoint: stored, config }, graph)
    const exported = await openExport(rewritten, null)
    expect(exported.export).toMatchObject({ dtype: 'fp16', weights: 'F16', cached: 'F16' })
    const halves = await loadExport(exported, config, 1)
    const reference = await loadModel(stored, config, { provider: 'cpu', threads: 1 })
    try {
      const cache = halves.createCache(2)
      const ownCache = reference.createCache(2)
      for (const step of [
        [tokens(20), tokens(20, 5)],
        [[4], [5]],
        [[6], [7]],
      ]) {
        const [theirs, ours] = [await halves.forward(step, cache), await reference.forward(step, ownCache)]
        const most = Math.max(...ours.data.map(Math.abs))
        expect(largestDifference(theirs.data, ours.data)).toBeLessThan(2e-3 * most)
      }
      expect(cache.bitsPerValue).toBe(16)
      expect(cache.measuredBytes()).toBe(kvCacheBytes(config, { contextLength: 21, batch: 2, bitsPerValue: 16 }))
      cache.truncate(20)
      expect((await halves.forward([[4], [5]], cache)).dims).toEqual([2, 1, 256])
    } finally {
      await halves.close()
      await reference.close()
    }
  })

  it('says that transformers.js does not know a type of model', async () => {
    const strange = join(folder, 'strange')
    await cp(join(folder, 'tiny'), strange, { recursive: true })
    await writeFile(join(strange, 'config.json'), JSON.stringify({ ...checkpoint.config, model_type: 'mamba9' }))
    const opened = await openExport(strange, null)
    await expect(loadExport(opened, config, 1)).rejects.toMatchObject({
      code: 'CONFIG_UNSUPPORTED',
      message: expect.stringContaining('mamba9'),
    })
  })
})
