import { describe, expect, it } from 'vitest'
import { kvShareOfBytes, predictionsOf, sharesOfBounds, tokensPerSecond } from '../../../src/api/presenters/series.ts'
import { namedDevices } from '../../../src/architecture/named-devices.ts'
import type { StoredSeries } from '../../../src/db/rows.ts'

function series(fields: Partial<StoredSeries>): StoredSeries {
  return {
    storedInterval: null,
    runId: 'run',
    attempt: 1,
    subjectIndex: 0,
    phase: 'DECODE',
    test: '',
    promptTokens: 0,
    generatedTokens: 0,
    depth: 0,
    batch: 1,
    samples: [1],
    kvCacheBytes: null,
    kvCacheBytesPredicted: null,
    kvCacheBytesAllocated: null,
    peakMemoryBytes: null,
    peakMemoryBytesPredicted: null,
    bytesRead: null,
    kvBytesRead: null,
    flops: null,
    warnings: [],
    ...fields,
  }
}

describe('tokens per second', () => {
  it('count all tokens of all sequences of the batch', () => {
    const decode = series({ generatedTokens: 8, batch: 4, samples: [1000, 500] })
    expect(tokensPerSecond(decode)).toEqual({ samples: [32, 64] })
    const combined = series({ phase: 'COMBINED', promptTokens: 100, generatedTokens: 28, samples: [2000] })
    expect(tokensPerSecond(combined)).toEqual({ samples: [64] })
    expect(tokensPerSecond(series({ phase: 'FORWARD', promptTokens: 9, samples: [100] }))).toEqual({ samples: [90] })
  })

  it('are none where nothing was processed', () => {
    expect(tokensPerSecond(series({ phase: 'LOAD' }))).toBeNull()
  })
})

describe('where time goes', () => {
  const decode = series({ generatedTokens: 4, samples: [50, 80, 100], bytesRead: 4e9, kvBytesRead: 1e9, flops: 8e9 })
  const bounds = { bytesPerSecond: 1e11, flopsPerSecond: 2e11, threads: 2, measuredAt: new Date(0) }

  it('is the share of the bytes that is K/V cache, and none where nothing was read', () => {
    expect(kvShareOfBytes(decode)).toBe(0.25)
    expect(kvShareOfBytes(series({ phase: 'LOAD' }))).toBeNull()
  })

  it('is the least time by each bound / the median time', () => {
    // 40 ms of reading and 40 ms of computing in 80 ms.
    expect(sharesOfBounds(decode, 'CPU', bounds)).toEqual({ bandwidth: 0.5, compute: 0.5 })
  })

  it('is unknown without bounds, on another device and for LOAD', () => {
    const unknown = { bandwidth: null, compute: null }
    expect(sharesOfBounds(decode, 'CPU', null)).toEqual(unknown)
    expect(sharesOfBounds(decode, 'CUDA', bounds)).toEqual(unknown)
    expect(sharesOfBounds(series({ phase: 'LOAD', samples: [900] }), 'CPU', bounds)).toEqual(unknown)
  })

  it('is predicted for devices by whichever of reading and computing takes longer there', () => {
    const predictions = predictionsOf(decode)
    expect(predictions.map(({ device }) => device)).toEqual(namedDevices.map(({ name }) => name))
    expect(predictions.find(({ device }) => device === 'NVIDIA T4')).toMatchObject({
      milliseconds: 12.5,
      boundBy: 'BANDWIDTH',
      source: expect.stringContaining('datasheet'),
    })
    const prefill = predictionsOf({ ...decode, flops: 8.1e12 })
    expect(prefill.find(({ device }) => device === 'NVIDIA T4')).toMatchObject({
      milliseconds: 1000,
      boundBy: 'COMPUTE',
    })
    // Apple publishes no rate for it, so only reading can bound there.
    expect(prefill.find(({ device }) => device === 'Apple M4')).toMatchObject({
      flopsPerSecond: null,
      boundBy: 'BANDWIDTH',
    })
    expect(predictionsOf(series({ phase: 'LOAD' }))).toEqual([])
  })
})
