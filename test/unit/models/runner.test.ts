import { copyFile, mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ModelConfig } from '../../../src/architecture/model-config.ts'
import { readModelConfig } from '../../../src/architecture/read-config.ts'
import type { Checkpoint } from '../../../src/checkpoints/checkpoint.ts'
import { openCheckpoint } from '../../../src/checkpoints/open.ts'
import { convertKvHeads } from '../../../src/models/convert.ts'
import { buildDecoder } from '../../../src/models/decoder.ts'
import type { GraphCache } from '../../../src/models/kv-cache.ts'
import { findFamily } from '../../../src/models/registry.ts'
import { loadModel, openDecoder, type RunnableModel } from '../../../src/models/runner.ts'
import { filledRows, largestDifference } from '../../support/golden.ts'
import { rewriteCheckpoint } from '../../support/rewritten-checkpoint.ts'

const golden = resolve(import.meta.dirname, '../../golden')
const tokens = [49, 21, 54, 14, 53, 45, 5, 44, 50, 27, 0, 48]
const others = [3, 60, 7, 12, 9, 33, 41, 2, 66, 18, 25, 30]
/** Two ways to the same float32 sums differ by their order alone. */
const bound = 1e-5

let scratch = ''
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'kvscope-runner-'))
})
afterAll(() => rm(scratch, { recursive: true, force: true }))

async function open(model: string, kvHeads?: number): Promise<{ checkpoint: Checkpoint; config: ModelConfig }> {
  const checkpoint = await openCheckpoint(join(golden, model))
  const config = readModelConfig(checkpoint.config, model)
  return kvHeads === undefined
    ? { checkpoint, config }
    : convertKvHeads(checkpoint, config, { kvHeads, method: 'MEAN' }, scratch)
}

async function load(model: string, kvHeads?: number): Promise<RunnableModel<GraphCache>> {
  const { checkpoint, config } = await open(model, kvHeads)
  return loadModel(checkpoint, config, { provider: 'cpu', threads: 1, logits: 'all', attention: true })
}

const models = [
  { model: 'gpt2/heads6', kvHeads: 6, kind: 'MHA' },
  { model: 'gpt2/heads6', kvHeads: 2, kind: 'GQA' },
  { model: 'gpt2/heads5', kvHeads: 1, kind: 'MQA' },
  { model: 'llama/gqa', kvHeads: undefined, kind: 'GQA' },
  { model: 'falcon/falcon_rw', kvHeads: undefined, kind: 'MHA with ALiBi' },
  { model: 'falcon/falcon_40b', kvHeads: undefined, kind: 'GQA' },
  { model: 'gpt_bigcode/mqa', kvHeads: undefined, kind: 'MQA' },
]

describe.each(models)('$model as $kind', ({ model: folder, kvHeads }) => {
  let model: RunnableModel<GraphCache>
  beforeAll(async () => {
    model = await load(folder, kvHeads)
  })
  afterAll(() => model.close())

  /** Runs the prompt in pieces of the given lengths; logits, and the last layer's probabilities, row by row. */
  async function inPieces(lengths: readonly number[], { prompt = tokens, reserve = 0 } = {}) {
    const cache = model.createCache()
    cache.reserve(reserve)
    const logits: number[] = []
    const rows: number[][] = []
    let at = 0
    for (const length of lengths) {
      const step = await model.forward([prompt.slice(at, at + length)], cache)
      at += length
      logits.push(...step.data)
      const last = step.attention.at(-1)
      if (!last) throw new Error('no attention came back')
      const [, , queries, columns] = last.dims
      expect(columns).toBe(at)
      // The first head's rows, padded to the whole prompt: what a token sees does not depend on the pieces.
      for (let query = 0; query < queries; query++) {
        const row = [...last.data.subarray(query * columns, (query + 1) * columns)]
        rows.push([...row, ...Array(prompt.length - columns).fill(0)])
      }
    }
    return { logits, rows: rows.flat(), keys: filledRows(cache, 'key'), values: filledRows(cache, 'value') }
  }

  it.each([
    ['in chunks', [5, 4, 3], 0],
    ['token by token', Array(12).fill(1), 0],
    ['a prompt and then tokens, beside spare rows', [9, 1, 1, 1], 200],
  ])('computes the same %s as in one piece', async (_, lengths, reserve) => {
    const whole = await inPieces([12])
    const pieces = await inPieces(lengths, { reserve })
    expect(largestDifference(pieces.logits, whole.logits)).toBeLessThan(bound)
    expect(largestDifference(pieces.rows, whole.rows)).toBeLessThan(bound)
    for (const part of ['keys', 'values'] as const) {
      expect(pieces[part]).toHaveLength(model.config.layers)
      for (const [layer, values] of whole[part].entries()) {
        expect(largestDifference(pieces[part][layer] ?? [], values)).toBeLessThan(bound)
      }
    }
  })

  it('computes for each sequence of a batch what it computes for it alone', async () => {
    const cache = model.createCache(2)
    const prompt = await model.forward([tokens.slice(0, 8), others.slice(0, 8)], cache)
    const next = await model.forward([tokens.slice(8), others.slice(8)], cache)
    for (const [index, sequence] of [tokens, others].entries()) {
      const alone = await inPieces([8, 4], { prompt: sequence })
      const rows = (data: Float32Array) => [
        ...data.subarray((index * data.length) / 2, ((index + 1) * data.length) / 2),
      ]
      expect(largestDifference([...rows(prompt.data), ...rows(next.data)], alone.logits)).toBeLessThan(bound)
    }
  })

  it('forgets what it truncates', async () => {
    const cache = model.createCache()
    await model.forward([tokens], cache)
    cache.truncate(3)
    await model.forward([others.slice(0, 1)], cache)
    const { data } = await model.forward([others.slice(1, 3)], cache)
    const fresh = await inPieces([3, 1, 2], { prompt: [...tokens.slice(0, 3), ...others.slice(0, 3)] })
    expect(largestDifference(data, fresh.logits.slice(-data.length))).toBeLessThan(bound)
  })
})

describe('a loaded model', () => {
  it('gives the logits of the last position alone unless asked for all', async () => {
    const { checkpoint, config } = await open('gpt2/heads5')
    const [last, all] = [
      await loadModel(checkpoint, config, { provider: 'cpu', threads: 1 }),
      await load('gpt2/heads5'),
    ]
    const one = await last.forward([tokens], last.createCache())
    const every = await all.forward([tokens], all.createCache())
    expect([one.dims, every.dims]).toEqual([
      [1, 1, 67],
      [1, 12, 67],
    ])
    expect(one.attention).toEqual([])
    expect(largestDifference(one.data, every.data.slice(-67))).toBeLessThan(bound)
    await Promise.all([last.close(), all.close()])
  })

  it.each(['llama/gqa', 'falcon/falcon_rw'])(
    'computes %s with the operators that every provider has',
    async (folder) => {
      const { checkpoint, config } = await open(folder)
      const family = findFamily(config)
      const results: Float32Array[] = []
      for (const provider of ['cpu', 'webgpu'] as const) {
        const decoder = buildDecoder(family, checkpoint, config, { provider, logits: 'all', attention: false })
        const model = await openDecoder(decoder, config, { provider: 'cpu', threads: 1 })
        const cache = model.createCache()
        await model.forward([tokens.slice(0, 9)], cache)
        results.push((await model.forward([tokens.slice(9)], cache)).data)
        await model.close()
      }
      expect(largestDifference(results[0] ?? [], results[1] ?? [])).toBeLessThan(bound)
    },
  )

  it.each([
    ['F16', 1],
    ['BF16', 1],
    ['F32', 3],
    ['BF16', 2],
  ] as const)('reads %s weights in %i files as it reads them in one of F32', async (dtype, shards) => {
    const { checkpoint } = await open('gpt2/heads5')
    const run = async (folder: string) => {
      const stored = await openCheckpoint(folder)
      const config = readModelConfig(stored.config, 'rewritten')
      const model = await loadModel(stored, config, { provider: 'cpu', threads: 1, logits: 'all' })
      const { data } = await model.forward([tokens], model.createCache())
      await model.close()
      return data
    }
    const plain = await rewriteCheckpoint(checkpoint, join(scratch, 'plain'), { dtype: 'F32' })
    const other = await rewriteCheckpoint(checkpoint, join(scratch, `${dtype}-${shards}`), { dtype, shards })
    expect(largestDifference(await run(other), await run(plain))).toBeLessThan(bound)
  })

  it.each([
    ['more tokens than the model has positions', Array(17).fill(1), 'CONTEXT_EXCEEDED', '0 cached and 17 new tokens'],
    ['no tokens', [], 'VALIDATION_FAILED', 'sequences of 0 tokens'],
    ['a token that the vocabulary lacks', [67], 'VALIDATION_FAILED', 'token id 67'],
    ['a token that is not a whole number', [1.5], 'VALIDATION_FAILED', 'token id 1.5'],
  ])('refuses %s', async (_, prompt, code, message) => {
    const model = await load('gpt2/heads5')
    const refused = model.forward([prompt], model.createCache())
    await expect(refused).rejects.toMatchObject({ code, message: expect.stringContaining(message) })
    await model.close()
  })

  it('counts the cached tokens against the context, and runs up to its very end', async () => {
    const model = await load('gpt2/heads5')
    const cache = model.createCache()
    await model.forward([[...tokens, 1, 2, 3, 4]], cache)
    await expect(model.forward([[5]], cache)).rejects.toMatchObject({ code: 'CONTEXT_EXCEEDED' })
    expect(cache.length).toBe(16)
    await model.close()
  })

  it('refuses sequences of different lengths, and another number of them than the cache has', async () => {
    const model = await load('gpt2/heads5')
    for (const batch of [[[1, 2], [3]], [[1]]]) {
      await expect(model.forward(batch, model.createCache(2))).rejects.toMatchObject({ code: 'VALIDATION_FAILED' })
    }
    await model.close()
  })

  it('refuses a checkpoint that lacks a tensor, or holds one that nothing reads', async () => {
    const { checkpoint, config } = await open('llama/mqa')
    const options = { provider: 'cpu', threads: 1 } as const
    const bias = 'model.layers.1.self_attn.q_proj.bias'
    const lacking = new Map([...checkpoint.tensors].filter(([name]) => name !== bias))
    await expect(loadModel({ ...checkpoint, tensors: lacking }, config, options)).rejects.toMatchObject({
      code: 'CHECKPOINT_INVALID',
      message: expect.stringContaining(bias),
    })
    const withoutBias = readModelConfig({ ...checkpoint.config, attention_bias: false, mlp_bias: false }, 'mqa')
    await expect(loadModel(checkpoint, withoutBias, options)).rejects.toMatchObject({
      code: 'CHECKPOINT_INVALID',
      message: expect.stringContaining('.bias'),
    })
  })

  it('says that weights are damaged when their file is gone since it was opened', async () => {
    const folder = join(scratch, 'gone')
    await mkdir(folder)
    for (const file of ['config.json', 'model.safetensors']) {
      await copyFile(join(golden, 'gpt2/heads5', file), join(folder, file))
    }
    const checkpoint = await openCheckpoint(folder)
    await rename(join(folder, 'model.safetensors'), join(folder, 'elsewhere.safetensors'))
    const loading = loadModel(checkpoint, readModelConfig(checkpoint.config, 'gone'), { provider: 'cpu', threads: 1 })
    await expect(loading).rejects.toMatchObject({ code: 'CHECKPOINT_INVALID' })
  })
})
