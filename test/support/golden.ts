import { readdir, readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { z } from 'zod'
import type { ModelConfig } from '../../src/architecture/model-config.ts'
import type { Checkpoint } from '../../src/checkpoints/checkpoint.ts'
import { readTensor } from '../../src/checkpoints/read-tensor.ts'
import { readHeader } from '../../src/checkpoints/safetensors.ts'
import type { Attend } from '../../src/models/attention.ts'
import { buildDecoder } from '../../src/models/decoder.ts'
import type { CacheSlot, GraphCache } from '../../src/models/kv-cache.ts'
import type { AttendLatent } from '../../src/models/mla.ts'
import { findFamily } from '../../src/models/registry.ts'
import { openDecoder } from '../../src/models/runner.ts'

const root = resolve(import.meta.dirname, '../golden')

const golden = z.object({
  torch: z.string(),
  transformers: z.string(),
  cases: z.array(
    z.object({
      model: z.string(),
      /** null where the cache holds a latent */
      kvHeads: z.int().nullable(),
      tokens: z.array(z.int()),
      /** a second, shorter sequence */
      other: z.array(z.int()),
      /** of each layer; null: tokens see all before them */
      windows: z.array(z.int().nullable()),
      expected: z.string(),
      scoreSpan: z.number(),
      /** how far transformers itself is from all this when it computes in float32 */
      float32: z.object({ logits: z.number(), attention: z.number(), cache: z.number() }),
    }),
  ),
})

type GoldenCase = z.infer<typeof golden>['cases'][number]

/** The cases of a folder of test/golden, as tools/oracle wrote them. */
export async function readCases(folder: string): Promise<GoldenCase[]> {
  return golden.parse(JSON.parse(await readFile(join(folder, 'cases.json'), 'utf8'))).cases
}

/** A case with where it lies: `name` is its folder under test/golden, which holds the checkpoint. */
export interface PlacedCase extends GoldenCase {
  set: string
  name: string
  folder: string
  file: string
}

/** Every case that the oracle wrote, folder by folder. */
export async function readAllCases(): Promise<PlacedCase[]> {
  const entries = await readdir(root, { withFileTypes: true })
  const sets = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name)
  const placed = sets.sort().map(async (set) =>
    (await readCases(join(root, set))).map((found) => ({
      ...found,
      set,
      name: `${set}/${found.model}`,
      folder: join(root, set, found.model),
      file: join(root, set, found.expected),
    })),
  )
  return (await Promise.all(placed)).flat()
}

/** The versions that the goldens were made with, which are one and the same. */
export async function readVersions(): Promise<string> {
  const sets = new Set((await readAllCases()).map(({ set }) => set))
  const read = [...sets].map(async (set) => {
    const { torch, transformers } = golden.parse(JSON.parse(await readFile(join(root, set, 'cases.json'), 'utf8')))
    return `torch ${torch}, transformers ${transformers}`
  })
  const versions = new Set(await Promise.all(read))
  if (versions.size !== 1) throw new Error(`goldens of several versions: ${[...versions].join('; ')}`)
  return [...versions].join()
}

/** What a model computes of some tokens: each flat and row-major, layers first. */
export interface Computed {
  logits: Float32Array // [T, vocabulary]
  attention: Float32Array // [layers, H, T, T]
  /** [layers, KV, T, d], NaN where a window let rows go; of a latent cache [layers, 1, T, rank + rope] */
  keys: Float32Array
  values: Float32Array // [layers, KV, T, d]; of a latent cache nothing
  tokens: number
  layers: number
  heads: { keys: number; values: number }
}

const parts = ['logits', 'attention', 'keys', 'values'] as const
export type ErrorShares = Record<(typeof parts)[number], number>

export interface ComputeOptions {
  attend?: Attend | undefined
  attendLatent?: AttendLatent | undefined
  /** how many tokens each step is given; all at once unless said */
  pieces?: readonly number[] | undefined
}

/**
 * Runs one sequence and keeps everything, with another attention block if one is given, in pieces of the given lengths
 * if any are: the rows of what tokens see are then filled up with zeros, as causality has them.
 */
export async function compute(
  checkpoint: Checkpoint,
  config: ModelConfig,
  tokens: readonly number[],
  attend?: Attend,
  pieces?: readonly number[],
): Promise<Computed> {
  const [computed] = await computeBatch(checkpoint, config, [tokens], { attend, pieces })
  if (!computed) throw new Error('a batch of one computed nothing')
  return computed
}

/** The same of sequences of one length, together. */
export async function computeBatch(
  checkpoint: Checkpoint,
  config: ModelConfig,
  sequences: readonly (readonly number[])[],
  { attend, attendLatent, pieces }: ComputeOptions = {},
): Promise<Computed[]> {
  const decoder = buildDecoder(findFamily(config), checkpoint, config, {
    provider: 'cpu',
    logits: 'all',
    attention: true,
    ...(attend ? { attend } : {}),
    ...(attendLatent ? { attendLatent } : {}),
  })
  const model = await openDecoder(decoder, config, { provider: 'cpu', threads: 1 })
  try {
    const length = sequences[0]?.length ?? 0
    const cache = model.createCache(sequences.length)
    const logits = sequences.map((): Float32Array[] => [])
    const square = config.heads * length ** 2
    const attention = sequences.map(() => decoder.attentionOutputs.map(() => new Float32Array(square)))
    for (const count of pieces ?? [length]) {
      const from = cache.length
      const step = await model.forward(
        sequences.map((tokens) => tokens.slice(from, from + count)),
        cache,
      )
      for (const [row, sequence] of logits.entries()) {
        const size = step.data.length / sequences.length
        sequence.push(step.data.slice(row * size, (row + 1) * size))
      }
      for (const [layer, { data, dims }] of step.attention.entries()) {
        const [batch, heads, queries, columns] = dims
        for (let row = 0; row < batch * heads * queries; row++) {
          const [sequence, head, query] = [
            Math.floor(row / (heads * queries)),
            Math.floor(row / queries) % heads,
            row % queries,
          ]
          const to = (head * length + from + query) * length
          attention[sequence]?.[layer]?.set(data.subarray(row * columns, (row + 1) * columns), to)
        }
      }
    }
    const keySlots = decoder.slots.filter(({ input }) => !input.endsWith('value'))
    const valueSlots = decoder.slots.filter(({ input }) => input.endsWith('value'))
    return sequences.map((_, sequence) => {
      const rowsOf = (slots: readonly CacheSlot[]) => joined(slots.map((slot) => rowsByPosition(cache, slot, sequence)))
      return {
        logits: joined(logits[sequence] ?? []),
        attention: joined(attention[sequence] ?? []),
        keys: rowsOf(keySlots),
        values: rowsOf(valueSlots),
        tokens: length,
        layers: config.layers,
        heads: { keys: keySlots[0]?.heads ?? 0, values: valueSlots[0]?.heads ?? 0 },
      }
    })
  } finally {
    await model.close()
  }
}

/** One sequence's rows of a slot in the order of their positions, [KV, length, d]; NaN for those that a ring let go. */
function rowsByPosition(cache: GraphCache, slot: CacheSlot & { window?: number }, sequence: number): Float32Array {
  const { data, dims } = cache.feeds().tensors[slot.input] ?? { data: null, dims: [] }
  if (!(data instanceof Float32Array)) throw new Error('the cache is not float32')
  const [, heads = 0, rows = 0, width = 0] = dims
  const { length } = cache
  const { window = length } = slot
  const placed = new Float32Array(heads * length * width).fill(Number.NaN)
  for (let head = 0; head < heads; head++) {
    for (let position = Math.max(0, length - window); position < length; position++) {
      const from = ((sequence * heads + head) * rows + (position % window)) * width
      placed.set(data.subarray(from, from + width), (head * length + position) * width)
    }
  }
  return placed
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

/** What a model computed of the first `tokens` tokens: what comes after them changes nothing of it. */
export function firstTokens(computed: Computed, tokens: number): Computed {
  const { logits, attention, keys, values, layers, heads } = computed
  const rows = (data: Float32Array, blocks: number) => {
    const width = data.length / (blocks * computed.tokens)
    return cut(data, computed.tokens * width, tokens * width)
  }
  return {
    logits: rows(logits, 1),
    attention: cut(rows(attention, attention.length / computed.tokens ** 2), computed.tokens, tokens),
    keys: rows(keys, layers * heads.keys),
    values: rows(values, layers * heads.values || 1),
    tokens,
    layers,
    heads,
  }
}

/** The first `kept` values of every `size`. */
function cut(data: Float32Array, size: number, kept: number): Float32Array {
  const blocks = size === 0 ? 0 : data.length / size
  return joined(Array.from({ length: blocks }, (_, block) => data.subarray(block * size, block * size + kept)))
}

/**
 * What the oracle computed: of the tokens in one piece, of the other sequence, or of the tokens in chunks or one by one
 * where that is something else to the model itself; null where it is not.
 */
export async function readExpected(file: string): Promise<Computed>
export async function readExpected(file: string, part: 'other' | 'chunked' | 'stepped'): Promise<Computed | null>
export async function readExpected(file: string, part?: string): Promise<Computed | null> {
  const { tensors } = await readHeader(file)
  const prefix = part === undefined ? '' : `${part}.`
  const read = async (name: string) => {
    const tensor = tensors.find((candidate) => candidate.name === prefix + name)
    if (!tensor) return null
    if (tensor.dtype !== 'F32') throw new Error(`${file} holds ${tensor.name} as ${tensor.dtype}`)
    return { dims: tensor.shape, data: await readTensor({ ...tensor, dtype: 'F32', file }) }
  }
  const [logits, attention] = [await read('logits'), await read('attention')]
  if (!logits && part !== undefined) return null
  const keys = (await read('keys')) ?? (await read('latent'))
  if (!logits || !attention || !keys) throw new Error(`${file} lacks ${prefix}logits, attention, or keys and latents`)
  const values = (await read('values')) ?? { dims: [], data: new Float32Array(0) }
  return {
    logits: logits.data,
    attention: attention.data,
    keys: keys.data,
    values: values.data,
    tokens: logits.dims[0] ?? 0,
    layers: attention.dims[0] ?? 0,
    heads: { keys: keys.dims[1] ?? 0, values: values.dims[1] ?? 0 },
  }
}

/**
 * The largest difference of each part, as a share of the largest magnitude expected there. Of keys and values, rows before
 * a layer's window count for nothing: a ring has let them go.
 * @param windows of each layer; null: all rows count
 * @param length tokens that were run in all, where more were than are compared
 */
export function errorShares(
  actual: Computed,
  expected: Computed,
  windows: readonly (number | null)[] = [],
  length = expected.tokens,
): ErrorShares {
  const share = (name: (typeof parts)[number], counts: (index: number) => boolean = () => true) => {
    const [a, b] = [actual[name], expected[name]]
    if (a.length !== b.length) throw new Error(`${name}: ${a.length} values where ${b.length} are expected`)
    if (b.length === 0) return 0
    const compared = b.map((value, index) => (counts(index) ? value : 0))
    const computed = a.map((value, index) => (counts(index) ? value : 0))
    return largestDifference(computed, compared) / Math.max(...b.map(Math.abs))
  }
  const held = (name: 'keys' | 'values') => (index: number) => {
    const perLayer = expected[name].length / expected.layers
    const width = perLayer / (expected.heads[name] * expected.tokens)
    const window = windows[Math.floor(index / perLayer)] ?? null
    return window === null || Math.floor(index / width) % expected.tokens >= length - window
  }
  return {
    logits: share('logits'),
    attention: share('attention'),
    keys: share('keys', held('keys')),
    values: share('values', held('values')),
  }
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
