import { describe, expect, it } from 'vitest'
import { kvBytesPerToken } from '../../../src/architecture/kv-bytes.ts'
import { readModelConfig } from '../../../src/architecture/read-config.ts'
import { type CacheSlot, createKvCache, maskedScore } from '../../../src/models/kv-cache.ts'
import type { Tensor } from '../../../src/onnx/session.ts'

const slots: CacheSlot[] = [
  { input: 'past/key', output: 'present/key', heads: 2, width: 3 },
  { input: 'past/value', output: 'present/value', heads: 2, width: 4 },
]

/** Rows whose every value says which token, sequence and head it belongs to. */
function step(
  batch: number,
  first: number,
  tokens: number,
  from: readonly CacheSlot[] = slots,
): Record<string, Tensor> {
  const tensor = ({ heads, width }: CacheSlot): Tensor => {
    const data = new Float32Array(batch * heads * tokens * width)
    for (let head = 0; head < batch * heads; head++) {
      for (let row = 0; row < tokens; row++) {
        data.fill(1000 * head + first + row, (head * tokens + row) * width, (head * tokens + row + 1) * width)
      }
    }
    return { type: 'float32', data, dims: [batch, heads, tokens, width] }
  }
  return Object.fromEntries(from.map((slot) => [slot.output, tensor(slot)]))
}

/** First value of every filled row of one sequence and head. */
function filled(cache: ReturnType<typeof createKvCache>, head: number): number[] {
  const tensor = cache.feeds().tensors['past/value']
  const [, , rows = 0, width = 0] = tensor?.dims ?? []
  return Array.from({ length: cache.length }, (_, row) => Number(tensor?.data[(head * rows + row) * width]))
}

describe('the KV cache', () => {
  it('keeps every row of every sequence and head in order while it grows', () => {
    const cache = createKvCache(slots, 2)
    let tokens = 0
    for (const count of [3, 1, 60, 1, 200, 1]) {
      cache.append(step(2, tokens, count), count)
      tokens += count
      expect(cache.length).toBe(tokens)
      for (let head = 0; head < 4; head++) {
        expect(filled(cache, head)).toEqual(Array.from({ length: tokens }, (_, row) => 1000 * head + row))
      }
    }
  })

  it('takes memory once where it is told how many rows there will be, and keeps every row in order', () => {
    const cache = createKvCache(slots, 2, true, 300)
    const bytes = () => cache.allocatedBytes()
    let tokens = 0
    const allocated: number[] = []
    // 400 rows are more than was said: it grows as any cache does.
    for (const count of [64, 128, 1, 63, 44, 100]) {
      cache.append(step(2, tokens, count), count)
      tokens += count
      for (let head = 0; head < 4; head++) {
        expect(filled(cache, head)).toEqual(Array.from({ length: tokens }, (_, row) => 1000 * head + row))
      }
      allocated.push(bytes())
    }
    expect(allocated.slice(0, 5)).toEqual(Array.from({ length: 5 }, () => 2 * 2 * 320 * (3 + 4) * 4))
    expect(allocated[5]).toBeGreaterThanOrEqual(2 * 2 * 400 * (3 + 4) * 4)
  })

  it('feeds no spare rows after pieces of a multiple of 64, where it is told how many rows there will be', () => {
    const cache = createKvCache(slots, 1, true, 256)
    for (const first of [0, 64, 128]) {
      cache.append(step(1, first, 64), 64)
      expect(cache.feeds().mask.dims).toEqual([1, 1, 1, first + 64])
    }
  })

  it('gives back spare memory when trimmed, never a filled row, and grows again', () => {
    const cache = createKvCache(slots, 2)
    cache.append(step(2, 0, 100), 100)
    cache.reserve(400)
    cache.trim(10)
    expect(cache.capacity).toBe(128)
    expect(cache.feeds().mask.dims).toEqual([1, 1, 1, 128])
    expect(filled(cache, 3)).toEqual(Array.from({ length: 100 }, (_, row) => 3000 + row))
    cache.trim(300)
    expect(cache.capacity).toBe(128)
    cache.append(step(2, 100, 60), 60)
    expect(filled(cache, 3)).toEqual(Array.from({ length: 160 }, (_, row) => 3000 + row))
    cache.truncate(0)
    cache.trim(0)
    expect(cache.allocatedBytes()).toBe(0)
  })

  it('grows in steps of 64 rows, and only when it has to', () => {
    const cache = createKvCache(slots, 1)
    const capacities: number[] = []
    for (let token = 0; token < 129; token++) {
      cache.append(step(1, token, 1), 1)
      cache.settle()
      capacities.push(cache.capacity)
    }
    expect(capacities[0]).toBe(64)
    expect(capacities[63]).toBe(64)
    expect(capacities[64]).toBe(128)
    expect(capacities[128]).toBe(192)
  })

  it('does not grow inside what was reserved', () => {
    const cache = createKvCache(slots, 1)
    cache.reserve(300)
    const reserved = cache.allocatedBytes()
    cache.append(step(1, 0, 300), 300)
    expect(cache.capacity).toBe(320)
    expect(cache.allocatedBytes()).toBe(reserved)
    expect(reserved).toBe(320 * 2 * (3 + 4) * 4)
  })

  it('hides spare rows by its mask, and feeds none at all while it is empty', () => {
    const cache = createKvCache(slots, 1)
    cache.reserve(64)
    expect(cache.feeds().mask.dims).toEqual([1, 1, 1, 0])
    expect(cache.feeds().tensors['past/key']?.dims).toEqual([1, 2, 0, 3])
    cache.append(step(1, 0, 5), 5)
    const { mask, tensors } = cache.feeds()
    expect([...mask.data].map(Number)).toEqual([...Array(5).fill(0), ...Array(59).fill(Math.fround(maskedScore))])
    expect(tensors['past/key']?.dims).toEqual([1, 2, 64, 3])
  })

  it('feeds hidden spare rows while it is empty, to a provider that takes no empty tensors', () => {
    const cache = createKvCache(slots, 1, false)
    const { mask, tensors } = cache.feeds()
    expect(tensors['past/key']?.dims).toEqual([1, 2, 64, 3])
    expect([...mask.data].map(Number)).toEqual(Array(64).fill(Math.fround(maskedScore)))
    expect([cache.length, cache.fedLength, cache.measuredBytes()]).toEqual([0, 0, 0])
  })

  it('forgets rows from a length on, and takes others in their place', () => {
    const cache = createKvCache(slots, 1)
    cache.append(step(1, 0, 10), 10)
    cache.truncate(4)
    cache.append(step(1, 50, 2), 2)
    expect(filled(cache, 0)).toEqual([0, 1, 2, 3, 50, 51])
    cache.truncate(100)
    expect(cache.length).toBe(6)
  })

  it('is copied with its filled rows, and neither sees what the other takes or forgets', () => {
    const cache = createKvCache(slots, 2)
    cache.append(step(2, 0, 70), 70)
    cache.truncate(40)
    const copy = cache.copy()
    expect(copy.fedLength).toBe(0)
    cache.truncate(10)
    copy.append(step(2, 40, 3), 3)
    expect([cache.length, copy.length]).toEqual([10, 43])
    for (let head = 0; head < 4; head++) {
      expect(filled(cache, head)).toEqual(Array.from({ length: 10 }, (_, row) => 1000 * head + row))
      expect(filled(copy, head)).toEqual(Array.from({ length: 43 }, (_, row) => 1000 * head + row))
    }
    expect(createKvCache(slots, 1).copy().length).toBe(0)
  })

  it('measures the filled rows that the last step was fed, and spare capacity apart', () => {
    const cache = createKvCache(slots, 2)
    const bytesPerToken = 2 * 2 * (3 + 4) * 4
    expect(cache.measuredBytes()).toBe(0)
    cache.feeds()
    cache.append(step(2, 0, 9), 9)
    expect([cache.measuredBytes(), cache.fedLength]).toEqual([0, 0])
    cache.feeds()
    cache.append(step(2, 9, 1), 1)
    expect([cache.measuredBytes(), cache.fedLength]).toEqual([9 * bytesPerToken, 9])
    expect(cache.allocatedBytes()).toBe(64 * bytesPerToken)
  })

  it('measures what the formula says of the same model', () => {
    const raw = { model_type: 'gpt2', n_layer: 3, n_head: 4, n_embd: 32, n_positions: 64, vocab_size: 99 }
    const config = readModelConfig({ ...raw, num_key_value_heads: 2 }, 'narrow')
    const ofModel = Array.from({ length: config.layers }, (_, layer) =>
      ['key', 'value'].map((part) => ({ input: `i${part}${layer}`, output: `o${part}${layer}`, heads: 2, width: 8 })),
    ).flat()
    const cache = createKvCache(ofModel, 1)
    cache.append(step(1, 0, 9, ofModel), 9)
    cache.feeds()
    expect(cache.measuredBytes()).toBe(9 * kvBytesPerToken(config, 32))
  })

  it('says how much it wanted when it cannot get it', () => {
    const cache = createKvCache([{ input: 'i', output: 'o', heads: 1024, width: 1024 }], 64)
    expect(() => cache.reserve(2 ** 30)).toThrow(/the KV cache could not get \d+ bytes/)
  })
})
