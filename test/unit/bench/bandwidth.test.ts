import { describe, expect, it } from 'vitest'
import { openBandwidthProbe } from '../../../src/bench/bandwidth.ts'
import { assembleReader } from '../../../src/bench/wasm-reader.ts'

const pageBytes = 65_536

/** Sum of the first lane of every vector, which is what the module adds up. */
function expectedSum(values: Int32Array, start: number, length: number): number {
  let sum = 0
  for (let byte = start; byte < start + length; byte += 16) sum = (sum + (values[byte / 4] ?? 0)) | 0
  return sum
}

describe('assembleReader', () => {
  it.each([
    [1, 64],
    [1, 4096],
    [2, 128],
    [4, 8192],
    [8, 16_384],
  ])('makes a valid module that reads every vector of %i streams of %i bytes once', (streams, bytesPerStream) => {
    const pages = Math.ceil((streams * bytesPerStream + 1024) / pageBytes)
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true })
    const values = new Int32Array(memory.buffer)
    values.forEach((_, index) => {
      values[index] = (index * 2_654_435_761) | 0
    })
    const module = new WebAssembly.Module(assembleReader({ streams, bytesPerStream, pages }))
    const { read } = new WebAssembly.Instance(module, { env: { memory } }).exports
    if (typeof read !== 'function') throw new Error('the module exports no read')
    for (const start of [0, 1024]) expect(read(start)).toBe(expectedSum(values, start, streams * bytesPerStream))
  })
  it('refuses a stream that ends within a line', () => {
    expect(() => assembleReader({ streams: 1, bytesPerStream: 100, pages: 1 })).toThrow(/100 is no multiple of 64/)
  })
})

describe('openBandwidthProbe', () => {
  it('reads with every number of threads and streams and finds a rate between a tape and a cache', async () => {
    const probe = await openBandwidthProbe({ bytes: 16 << 20, threads: [1, 2], streams: [1, 4] })
    try {
      const { bytesPerSecond, threads, streams } = await probe.measure()
      expect(bytesPerSecond).toBeGreaterThan(1e8)
      expect(bytesPerSecond).toBeLessThan(1e13)
      expect([1, 2]).toContain(threads)
      expect([1, 4]).toContain(streams)
    } finally {
      await probe.close()
    }
  })
})
