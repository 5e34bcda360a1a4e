import { describe, expect, it } from 'vitest'
import { findLevelChanges } from '../../../src/stats/change-points.ts'
import { type Random, seededRandom } from '../../../src/stats/random.ts'

const normal = (random: Random) => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())

interface Noise {
  /** of the logarithm */
  deviation?: number
  /** share of values that are 15 to 60 % too large */
  outliers?: number
}

/** A series of times around a level each, with lognormal noise. */
function series(length: number, seed: number, level: (index: number) => number, noise: Noise = {}): number[] {
  const { deviation = 0.02, outliers = 0.03 } = noise
  const random = seededRandom(seed)
  return Array.from({ length }, (_, index) => {
    const outlier = random() < outliers ? 1.15 + 0.45 * random() : 1
    return level(index) * Math.exp(deviation * normal(random)) * outlier
  })
}

const seeds = (count: number) => Array.from({ length: count }, (_, seed) => seed)

describe('findLevelChanges', () => {
  it.each([20, 60, 200])(
    'says of %d values of one level, outliers among them, in at most 3 of 100 that it changed',
    (length) => {
      const changed = seeds(300).filter((seed) => findLevelChanges(series(length, seed, () => 10)).length > 0)
      expect(changed.length).toBeLessThanOrEqual(9)
    },
  )

  it.each([
    { length: 60, at: 40, step: 1.1 },
    { length: 200, at: 150, step: 1.05 },
    { length: 200, at: 60, step: 0.9 },
    { length: 500, at: 350, step: 1.05 },
  ])('finds a step to $step times the level at $at of $length', ({ length, at, step }) => {
    const found = seeds(40).map((seed) => {
      const values = series(length, seed + 1000, (index) => (index < at ? 10 : 10 * step))
      return findLevelChanges(values)
    })
    const near = found.flatMap((changes) => changes.filter(({ index }) => Math.abs(index - at) <= 3))
    expect(near.length).toBeGreaterThanOrEqual(37)
    expect(found.flat().length - near.length).toBeLessThanOrEqual(4)
    const held = near.filter(({ interval }) => interval && interval.low <= step && step <= interval.high)
    expect(held.length).toBeGreaterThanOrEqual(34)
    for (const { ratio } of near) expect(Math.abs(ratio / step - 1)).toBeLessThan(0.02)
  })

  it('finds the very value from which on a level without much noise is another', () => {
    const values = series(100, 7, (index) => (index < 63 ? 10 : 11), { deviation: 0.005, outliers: 0 })
    expect(findLevelChanges(values).map(({ index }) => index)).toEqual([63])
  })

  it('finds a slowdown and its repair', () => {
    const slow = (index: number) => (index >= 140 && index < 165 ? 11 : 10)
    const found = seeds(20).map((seed) => findLevelChanges(series(300, seed, slow)))
    expect(found.filter((changes) => changes.length === 2).length).toBeGreaterThanOrEqual(18)
  })

  it('takes no outliers for a level, also where four stand together', () => {
    const burst = (index: number) => (index >= 100 && index < 104 ? 30 : 10)
    const found = seeds(50).filter((seed) => findLevelChanges(series(200, seed, burst)).length > 0)
    expect(found.length).toBeLessThanOrEqual(3)
  })

  it('tells of a change at the end from the seventh value on', () => {
    const foundAfter = (count: number) =>
      seeds(40).filter((seed) => {
        const values = series(200, seed, (index) => (index < 200 - count ? 10 : 13), { outliers: 0 })
        return findLevelChanges(values).length > 0
      }).length
    expect(foundAfter(3)).toBeLessThanOrEqual(4)
    expect(foundAfter(7)).toBeGreaterThanOrEqual(34)
  })

  it('shows a steady drift as steps that all lead the same way', () => {
    const changes = findLevelChanges(series(300, 1, (index) => 10 * (1 + index * 0.001)))
    expect(changes.length).toBeGreaterThanOrEqual(2)
    for (const { ratio } of changes) expect(ratio).toBeGreaterThan(1)
  })

  it('reads counts without noise: a step is one, a single other value is none', () => {
    const bytes = (index: number) => (index < 80 ? 1_000_000 : 1_500_000)
    expect(findLevelChanges(Array.from({ length: 100 }, (_, index) => bytes(index)))).toEqual([
      { index: 80, ratio: 1.5, interval: { low: 1.5, high: 1.5, level: 0.95 } },
    ])
    expect(findLevelChanges(Array.from({ length: 100 }, (_, index) => (index === 97 ? 2 : 1)))).toEqual([])
  })

  it('leaves out levels that differ by less than half a percent', () => {
    const values = series(400, 3, (index) => (index < 200 ? 10 : 10.03), { deviation: 0.0005, outliers: 0 })
    expect(findLevelChanges(values)).toEqual([])
  })

  it.each([0, 1, 9])('has no change to tell of %d values', (length) => {
    expect(findLevelChanges(Array.from({ length }, (_, index) => (index < 5 ? 1 : 9)))).toEqual([])
  })

  it('gives the same for the same values and seed', () => {
    const values = series(150, 5, (index) => (index < 100 ? 10 : 10.4))
    expect(findLevelChanges(values, 3)).toEqual(findLevelChanges(values, 3))
  })
})
