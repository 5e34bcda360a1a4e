import { describe, expect, it } from 'vitest'
import { tokensPerSecond } from '../../../src/api/presenters/series.ts'
import type { StoredSeries } from '../../../src/db/rows.ts'

function series(fields: Partial<StoredSeries>): StoredSeries {
  return {
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
