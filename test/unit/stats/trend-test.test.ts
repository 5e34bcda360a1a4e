import { describe, expect, it } from 'vitest'
import { seededRandom, shuffled } from '../../../src/stats/random.ts'
import { mannKendall, theilSenSlope } from '../../../src/stats/trend-test.ts'

/** Every order of 0 ... count - 1. */
function orders(count: number): number[][] {
  if (count === 0) return [[]]
  return orders(count - 1).flatMap((order) =>
    Array.from({ length: count }, (_, place) => [...order.slice(0, place), count - 1, ...order.slice(place)]),
  )
}

describe('mannKendall', () => {
  it('counts pairs that rise less pairs that fall', () => {
    expect(mannKendall([1, 2, 3, 4]).score).toBe(6)
    expect(mannKendall([4, 3, 2, 1]).score).toBe(-6)
    expect(mannKendall([2, 1, 1, 3]).score).toBe(1)
  })
  it('gives the share of all orders that fall as much, counted one by one for five values', () => {
    const all = orders(5)
    for (const order of all.slice(0, 40)) {
      const { score, fallProbability, probability } = mannKendall(order)
      const share = (holds: (other: number) => boolean) =>
        all.filter((other) => holds(mannKendall(other).score)).length / all.length
      expect(fallProbability).toBeCloseTo(
        share((other) => other <= score),
        12,
      )
      expect(probability).toBeCloseTo(Math.min(1, 2 * share((other) => other >= Math.abs(score))), 12)
    }
  })
  it('has the tabulated chances of perfect falls: 1 in 6, 24 and 120', () => {
    for (const [values, chance] of [
      [[3, 2, 1], 1 / 6],
      [[4, 3, 2, 1], 1 / 24],
      [[5, 4, 3, 2, 1], 1 / 120],
    ] as const) {
      expect(mannKendall(values).fallProbability).toBeCloseTo(chance, 12)
      expect(mannKendall([...values].reverse()).fallProbability).toBe(1)
    }
  })
  it('agrees with simulation where the normal distribution stands in, with and without ties', () => {
    const random = seededRandom(5)
    for (const values of [
      [1, 5, 3, 9, 4, 11, 8, 7, 12, 10, 13, 6],
      [1, 1, 2, 2, 2, 3, 3, 1, 3, 3, 4, 4, 2, 4],
    ]) {
      const { score, probability } = mannKendall(values)
      let asFar = 0
      for (let draw = 0; draw < 4000; draw += 1) {
        if (Math.abs(mannKendall(shuffled(values, random)).score) >= Math.abs(score)) asFar += 1
      }
      expect(Math.abs(probability - asFar / 4000)).toBeLessThan(0.02)
    }
  })
  it('finds no trend in values that are all the same', () => {
    expect(mannKendall([5, 5, 5, 5])).toEqual({ score: 0, fallProbability: 1, probability: 1 })
  })
})

describe('theilSenSlope', () => {
  it('is the slope of a line, and stays so when two of nine values are far off', () => {
    const line = Array.from({ length: 9 }, (_, index) => 10 - 0.5 * index)
    expect(theilSenSlope(line)).toBeCloseTo(-0.5, 12)
    expect(theilSenSlope(line.map((value, index) => (index === 3 || index === 7 ? 1000 : value)))).toBeCloseTo(-0.5, 1)
  })
})
