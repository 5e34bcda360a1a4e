import { describe, expect, it } from 'vitest'
import { findKeySeries, type KeySeriesCandidate } from '../../../src/stats/key-series.ts'

const series = (fields: Partial<KeySeriesCandidate>): KeySeriesCandidate => ({
  subjectIndex: 0,
  phase: 'DECODE',
  promptTokens: 0,
  depth: 0,
  samples: [1],
  ...fields,
})

describe('the series that stands for a run', () => {
  const deep = series({ depth: 512 })
  const shallow = series({ depth: 9 })
  const prefill = series({ phase: 'PREFILL', promptTokens: 512 })
  const forward = series({ phase: 'FORWARD', promptTokens: 9 })
  const load = series({ phase: 'LOAD' })

  it("is the first subject's decode at the greatest depth", () => {
    const others = series({ subjectIndex: 1, depth: 4096 })
    expect(findKeySeries([load, forward, prefill, shallow, deep, others])).toBe(deep)
  })

  it('is else its largest prefill, else its forward pass, else nothing', () => {
    const small = series({ phase: 'PREFILL', promptTokens: 64 })
    expect(findKeySeries([load, forward, small, prefill])).toBe(prefill)
    expect(findKeySeries([load, forward])).toBe(forward)
    expect(findKeySeries([load, series({ phase: 'COMBINED' })])).toBeNull()
  })

  it('has samples', () => {
    expect(findKeySeries([series({ depth: 512, samples: [] }), shallow])).toBe(shallow)
  })
})
