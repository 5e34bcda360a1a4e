import { describe, expect, it } from 'vitest'
import { median, quantile } from '../../../src/stats/quantile.ts'
import { mean, standardDeviation, summarize } from '../../../src/stats/summary.ts'

describe('quantile', () => {
  it('agrees with R: quantile(c(1, 2, 4, 8), c(0, .1, .25, .5, .9, 1)), whose default is type 7', () => {
    const expected = [1, 1.3, 1.75, 3, 6.8, 8]
    const found = [0, 0.1, 0.25, 0.5, 0.9, 1].map((p) => quantile([1, 2, 4, 8], p))
    expect(found.map((value) => Number(value.toFixed(12)))).toEqual(expected)
  })
  it('is the value itself for a single value', () => expect(quantile([7], 0.3)).toBe(7))
  it('refuses an empty list', () => expect(() => quantile([], 0.5)).toThrow(/at least one/))
})

describe('median', () => {
  it('sorts by number, not by text', () => expect(median([10, 9, 100])).toBe(10))
  it('is the mean of the two in the middle of an even count', () => expect(median([4, 1, 3, 2])).toBe(2.5))
  it('leaves the samples in their order', () => {
    const samples = [3, 1, 2]
    median(samples)
    expect(samples).toEqual([3, 1, 2])
  })
})

describe('summarize', () => {
  it('gives mean and standard deviation with n - 1', () => {
    expect(mean([2, 4, 4, 4, 5, 5, 7, 9])).toBe(5)
    expect(standardDeviation([2, 4, 4, 4, 5, 5, 7, 9])).toBeCloseTo(Math.sqrt(32 / 7), 12)
  })
  it('has neither deviation nor interval for a single sample', () => {
    expect(summarize([12.5])).toEqual({
      count: 1,
      median: 12.5,
      mean: 12.5,
      standardDeviation: null,
      minimum: 12.5,
      maximum: 12.5,
      interval: null,
    })
  })
  it('has no interval for four samples, whose whole range is below 95 %, and one for five', () => {
    expect(summarize([1, 2, 3, 4]).interval).toBeNull()
    expect(summarize([1, 2, 3, 4, 5]).interval).toEqual({ low: 1, high: 5, level: 0.95 })
  })
  it('gives the same interval for the same samples and seed', () => {
    const samples = Array.from({ length: 25 }, (_, index) => ((index * 7919) % 101) / 3)
    expect(summarize(samples, 5)).toEqual(summarize(samples, 5))
  })
})
