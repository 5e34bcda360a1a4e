import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import type { ModelConfig } from '../../src/architecture/model-config.ts'
import type { Checkpoint } from '../../src/checkpoints/checkpoint.ts'
import { readTensor } from '../../src/checkpoints/read-tensor.ts'
import { readHeader } from '../../src/checkpoints/safetensors.ts'
import type { Attend } from '../../src/models/attention.ts'
import { buildDecoder } from '../../src/models/decoder.ts'
import type { GraphCache } from '../../src/models/kv-cache.ts'
import { findFamily } from '../../src/models/registry.ts'
import { openDecoder } from '../../src/models/runner.ts'

const golden = z.object({
  cases: z.array(
    z.object({
      model: z.string(),
      kvHeads: z.int(),
      tokens: z.array(z.int()),
      expected: z.string(),
      scoreSpan: z.number(),
    }),
  ),
})

/** The cases of a family's folder, as tools/oracle wrote them. */
export async function readCases(folder: string): Promise<z.infer<typeof golden>['cases']> {
  return golden.parse(JSON.parse(await readFile(join(folder, 'cases.json'), 'utf8'))).cases
}

/** What a model computes of some tokens: each flat and row-major, layers first. */
export interface Computed {
  logits: Float32Array // [T, vocabulary]
  attention: Float32Array // [layers, H, T, T]
  keys: Float32Array // [layers, KV, T, d]
  values: Float32Array // [layers, KV, T, d]
}

const parts = ['logits', 'attention', 'keys', 'values'] as const

/**
 * Runs one sequence and keeps everything, with another attention block if one is given, in pieces of the given lengths
 * if any are: the rows of what tokens see are then filled up with zeros, as causality has them.
 */
export async function compute(
  checkpoint: Checkpoint,
  config: ModelConfig,
  tokens: readonly number[],
  attend?: Attend,
  pieces: readonly number[] = [tokens.length],
): Promise<Computed> {
  const decoder = buildDecoder(findFamily(config), checkpoint, config, {
    provider: 'cpu',
    logits: 'all',
    attention: true,
    ...(attend ? { attend } : {}),
  })
  const model = await openDecoder(decoder, config, { provider: 'cpu', threads: 1 })
  try {
    const cache = model.createCache()
    const logits: Float32Array[] = []
    const square = config.heads * tokens.length ** 2
    const attention = decoder.attentionOutputs.map(() => new Float32Array(square))
    for (const length of pieces) {
      const from = cache.length
      const step = await model.forward([tokens.slice(from, from + length)], cache)
      logits.push(step.data)
      for (const [layer, { data, dims }] of step.attention.entries()) {
        const [, heads, queries, columns] = dims
        for (let row = 0; row < heads * queries; row++) {
          const [head, query] = [Math.floor(row / queries), row % queries]
          const to = (head * tokens.length + from + query) * tokens.length
          attention[layer]?.set(data.subarray(row * columns, (row + 1) * columns), to)
        }
      }
    }
    return {
      logits: joined(logits),
      attention: joined(attention),
      keys: joined(filledRows(cache, 'key')),
      values: joined(filledRows(cache, 'value')),
    }
  } finally {
    await model.close()
  }
}

/** The filled rows of every layer's keys or values, without the spare ones: [batch, KV, length, d] each. */
export function filledRows(cache: GraphCache, part: 'key' | 'value'): Float32Array[] {
  return Object.entries(cache.feeds().tensors)
    .filter(([name]) => name.endsWith(part))
    .map(([, { data, dims }]) => {
      if (!(data instanceof Float32Array)) throw new Error('the cache is not float32')
      const [batch = 0, heads = 0, rows = 0, width = 0] = dims
      const heads2d = Array.from({ length: batch * heads }, (_, head) =>
        data.subarray(head * rows * width, (head * rows + cache.length) * width),
      )
      return joined(heads2d)
    })
}

function joined(arrays: readonly Float32Array[]): Float32Array {
  return Float32Array.from(arrays.flatMap((array) => [...array]))
}

export async function readExpected(file: string): Promise<Computed> {
  const { tensors } = await readHeader(file)
  const read = async (name: (typeof parts)[number]) => {
    const tensor = tensors.find((candidate) => candidate.name === name)
    if (tensor?.dtype !== 'F32') throw new Error(`${file} lacks ${name}`)
    return readTensor({ ...tensor, dtype: 'F32', file })
  }
  return {
    logits: await read('logits'),
    attention: await read('attention'),
    keys: await read('keys'),
    values: await read('values'),
  }
}

/** The largest difference of each part, as a share of the largest magnitude expected there. */
export function errorShares(actual: Computed, expected: Computed): Record<(typeof parts)[number], number> {
  const share = (name: (typeof parts)[number]) => {
    const [a, b] = [actual[name], expected[name]]
    if (a.length !== b.length) throw new Error(`${name}: ${a.length} values where ${b.length} are expected`)
    return largestDifference(a, b) / Math.max(...b.map(Math.abs))
  }
  return { logits: share('logits'), attention: share('attention'), keys: share('keys'), values: share('values') }
}

export function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY
  let largest = 0
  for (let index = 0; index < a.length; index++) {
    const difference = Math.abs((a[index] ?? Number.NaN) - (b[index] ?? Number.NaN))
    // NaN compares as false with everything: count it as the worst.
    if (!(difference <= largest)) largest = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference
  }
  return largest
}
