import { describe, expect, it } from 'vitest'
import { drawCounts, rank, resampledMedian } from '../../../src/stats/bootstrap.ts'
import { studentQuantile } from '../../../src/stats/normal.ts'
import { median } from '../../../src/stats/quantile.ts'
import { seededRandom, shuffled } from '../../../src/stats/random.ts'
import { medianInterval } from '../../../src/stats/summary.ts'
import { gaussian } from './noise.ts'

describe('seededRandom', () => {
  it('repeats for a seed and differs between seeds', () => {
    const first = seededRandom(1)
    const again = seededRandom(1)
    const other = seededRandom(2)
    const draw = (random: () => number) => Array.from({ length: 5 }, random)
    const drawn = draw(first)
    expect(draw(again)).toEqual(drawn)
    expect(draw(other)).not.toEqual(drawn)
  })
  it('is uniform: each of ten bins holds a tenth of 100,000 draws within five standard errors', () => {
    const random = seededRandom(3)
    const bins = new Array<number>(10).fill(0)
    for (let drawn = 0; drawn < 100_000; drawn += 1) {
      const bin = Math.floor(random() * 10)
      bins[bin] = (bins[bin] ?? 0) + 1
    }
    for (const held of bins) expect(Math.abs(held - 10_000)).toBeLessThan(5 * Math.sqrt(9000))
  })
})

describe('shuffled', () => {
  it('reaches all six orders of three items about equally often', () => {
    const random = seededRandom(4)
    const seen = new Map<string, number>()
    for (let drawn = 0; drawn < 6000; drawn += 1) {
      const order = shuffled(['a', 'b', 'c'], random).join('')
      seen.set(order, (seen.get(order) ?? 0) + 1)
    }
    expect(seen.size).toBe(6)
    for (const times of seen.values()) expect(Math.abs(times - 1000)).toBeLessThan(150)
  })
})

describe('resampledMedian', () => {
  it.each([3, 4, 9, 10])('is the median of the resample that the counts describe (%i samples)', (count) => {
    const random = seededRandom(count)
    for (let trial = 0; trial < 50; trial += 1) {
      const samples = Array.from({ length: count }, () => Math.floor(random() * 6))
      const counts = new Uint32Array(count)
      drawCounts(counts, random)
      const resample = samples.flatMap((value, index) => new Array<number>(counts[index] ?? 0).fill(value))
      expect(resample).toHaveLength(count)
      expect(resampledMedian(rank(samples), counts)).toBe(median(resample))
    }
  })
})

describe('medianInterval', () => {
  it.each([7, 10, 15, 30])('covers the true median in about 95 of 100 experiments of %i normal samples', (count) => {
    const random = seededRandom(count)
    let covered = 0
    for (let experiment = 0; experiment < 500; experiment += 1) {
      const samples = Array.from({ length: count }, () => 50 + gaussian(random))
      const interval = medianInterval(samples, { seed: experiment, resamples: 500 })
      if (interval && interval.low <= 50 && interval.high >= 50) covered += 1
    }
    expect(covered / 500).toBeGreaterThan(0.92)
    expect(covered / 500).toBeLessThan(0.995)
  })
})

describe('studentQuantile', () => {
  it.each([
    [4, 2.776],
    [9, 2.262],
    [14, 2.145],
    [29, 2.045],
  ])('agrees with the tables at 0.975 and %i degrees of freedom', (degrees, expected) => {
    expect(studentQuantile(0.975, degrees) / expected).toBeCloseTo(1, 2)
  })
})
