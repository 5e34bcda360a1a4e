import { describe, expect, it } from 'vitest'
import { kvCacheBytes } from '../../../src/architecture/kv-bytes.ts'
import { readModelConfig } from '../../../src/architecture/read-config.ts'
import { type CacheSlot, createKvCache, rowsToKeep } from '../../../src/models/kv-cache.ts'
import { sparePosition } from '../../../src/models/slot-rows.ts'
import type { Tensor } from '../../../src/onnx/session.ts'

const window = 100
const slots: CacheSlot[] = [
  { input: 'past/full', output: 'present/full', heads: 2, width: 3 },
  { input: 'past/ring', output: 'present/ring', heads: 2, width: 3, window },
]
type Cache = ReturnType<typeof createKvCache>

/** Rows whose every value says which position, sequence and head it belongs to. */
function step(first: number, tokens: number, batch = 2, from = slots): Record<string, Tensor> {
  const tensor = ({ heads, width }: CacheSlot): Tensor => {
    const data = Float32Array.from(
      { length: batch * heads * tokens * width },
      (_, at) => 10_000 * Math.floor(at / (tokens * width)) + first + (Math.floor(at / width) % tokens),
    )
    return { type: 'float32', data, dims: [batch, heads, tokens, width] }
  }
  return Object.fromEntries(from.map((slot) => [slot.output, tensor(slot)]))
}

/** Fills a cache token by token or in pieces, and says what its ring then holds, by position, of one head. */
function take(cache: Cache, pieces: readonly number[], from = cache.length): void {
  let first = from
  for (const tokens of pieces) {
    cache.append(step(first, tokens), tokens)
    first += tokens
  }
}

function held(cache: Cache, head: number, name = 'past/ring'): Map<number, number> {
  const { tensors, ringPositions } = cache.feeds()
  const [, , rows = 0, width = 0] = tensors[name]?.dims ?? []
  const positions = ringPositions.get(window)?.data ?? []
  const entries = Array.from({ length: rows }, (_, row) => {
    const values = Array.from({ length: width }, (_, at) =>
      Number(tensors[name]?.data[(head * rows + row) * width + at]),
    )
    expect(new Set(values).size).toBe(1)
    return [BigInt(positions[row] ?? -1), values[0] ?? Number.NaN] as const
  })
  return new Map(entries.filter(([position]) => position !== sparePosition).map(([at, value]) => [Number(at), value]))
}

function expectLast(cache: Cache, length: number): void {
  for (const head of [0, 3]) {
    const last = Math.min(length, window)
    const wanted = Array.from({ length: last }, (_, index) => length - last + index)
    expect([...held(cache, head)].sort(([a], [b]) => a - b)).toEqual(wanted.map((at) => [at, 10_000 * head + at]))
  }
}

describe('the ring of a window', () => {
  it.each([null, 500])('holds the last rows whatever the pieces they came in, rows in all: %s', (rowsInAll) => {
    const cache = createKvCache(slots, 2, true, rowsInAll)
    let length = 0
    for (const tokens of [60, 1, 38, 1, 1, 30, 100, 1, 250, 7]) {
      take(cache, [tokens])
      length += tokens
      expectLast(cache, length)
    }
  })

  it('grows as any cache does as far as the window, and no further', () => {
    const cache = createKvCache(slots, 1)
    const rows = [10, 60, 60, 300].map((tokens) => {
      cache.append(step(cache.length, tokens, 1), tokens)
      const { tensors, ringPositions } = cache.feeds()
      expect(ringPositions.get(window)?.dims).toEqual([tensors['past/ring']?.dims[2]])
      return [tensors['past/full']?.dims[2], tensors['past/ring']?.dims[2]]
    })
    expect(rows).toEqual([
      [64, 64],
      [128, 100],
      [192, 100],
      [448, 100],
    ])
    expect(cache.allocatedBytes()).toBe((448 + 100) * 2 * 3 * 4)
  })

  it('feeds no rows and no positions while it is empty, and spare ones to a provider that takes no empty tensors', () => {
    const empty = createKvCache(slots, 1).feeds()
    expect([empty.tensors['past/ring']?.dims, empty.ringPositions.get(window)?.dims]).toEqual([[1, 2, 0, 3], [0]])
    const spare = createKvCache(slots, 1, false).feeds()
    expect(spare.tensors['past/ring']?.dims).toEqual([1, 2, 64, 3])
    expect([...(spare.ringPositions.get(window)?.data ?? [])]).toEqual(Array(64).fill(sparePosition))
  })

  it('is measured as the formula says, as far as its window', () => {
    const raw = {
      model_type: 'qwen2',
      use_sliding_window: true,
      num_hidden_layers: 2,
      num_attention_heads: 4,
      num_key_value_heads: 2,
    }
    const sizes = { hidden_size: 12, intermediate_size: 24, vocab_size: 99, max_position_embeddings: 4096 }
    const layers = { sliding_window: window, layer_types: ['sliding_attention', 'full_attention'] }
    const config = readModelConfig({ ...raw, ...sizes, ...layers }, 'windowed')
    const ofModel = config.attention.flatMap((shape, layer) =>
      ['key', 'value'].map((part) => ({
        ...{ input: `i${part}${layer}`, output: `o${part}${layer}`, heads: 2, width: 3 },
        ...(shape.window === null ? {} : { window: shape.window }),
      })),
    )
    const cache = createKvCache(ofModel, 2)
    for (const tokens of [70, 30, 1, 300]) {
      cache.append(step(cache.length, tokens, 2, ofModel), tokens)
      cache.feeds()
      const sizesNow = { contextLength: cache.length, batch: 2, bitsPerValue: 32 }
      expect(cache.measuredBytes()).toBe(kvCacheBytes(config, sizesNow))
    }
  })

  it('is copied with the rows that it holds, and neither sees what the other takes', () => {
    const cache = createKvCache(slots, 2)
    take(cache, [250])
    const copy = cache.copy()
    take(cache, [40])
    take(copy, [3])
    expectLast(copy, 253)
    expectLast(cache, 290)
    expect(copy.allocatedBytes()).toBe((256 + 100) * 2 * 2 * 3 * 4)
  })
})

describe('going back', () => {
  it('is possible to any length while no row was written over', () => {
    const cache = createKvCache(slots, 2)
    take(cache, [100])
    cache.truncate(30)
    take(cache, [5])
    expectLast(cache, 35)
  })

  it('is refused where the ring has lost rows, but for none and for what there is', () => {
    const cache = createKvCache(slots, 2)
    take(cache, [101])
    expect(() => cache.truncate(40)).toThrow('a cache of 101 tokens cannot go back to 40: a window of 100')
    cache.truncate(101)
    expectLast(cache, 101)
    cache.truncate(0)
    take(cache, [20])
    expectLast(cache, 20)
  })

  it.each([
    [40, [10], 20],
    [40, [1, 200], 300],
    [90, [1, 1, 30], 32],
    [100, [1], 1],
    [250, [1, 1, 1], 5],
    [250, [300], 300],
  ])('restores the %i tokens that were kept after %j more of %i at most, again and again', (length, pieces, most) => {
    const cache = createKvCache(slots, 2)
    take(cache, [length])
    cache.keep(most)
    for (let trial = 0; trial < 3; trial++) {
      take(cache, pieces)
      cache.truncate(length)
      cache.trim(length)
      expectLast(cache, length)
    }
    // What was not kept is lost all the same.
    take(cache, [most + 1])
    if (length + most + 1 > window) expect(() => cache.truncate(length)).toThrow('cannot go back')
  })

  it('keeps nothing of a sequence that was cut shorter since', () => {
    const cache = createKvCache(slots, 2)
    take(cache, [90])
    cache.keep(50)
    cache.truncate(10)
    take(cache, [100])
    expect(() => cache.truncate(90)).toThrow('cannot go back')
  })

  it.each([
    [40, 20, 0],
    [40, 70, 10],
    [40, 500, 40],
    [100, 1, 1],
    [250, 30, 30],
    [250, 500, 100],
  ])('takes of a ring at %i tokens, for %i more, %i rows', (length, tokens, rows) => {
    expect(rowsToKeep(window, length, tokens)).toBe(rows)
  })
})
