import { describe, expect, it } from 'vitest'
import { headEntropies } from '../../../src/heads/entropy.ts'
import {
  addMapDivergences,
  jsDistances,
  meanDistances,
  pairDistances,
  startDivergences,
} from '../../../src/heads/js-distance.ts'
import { sumOfLogs, sumOfPairLogs } from '../../../src/heads/log-sum.ts'
import { wholeMap } from '../../../src/heads/map-rows.ts'
import { seededRandom, shuffled } from '../../../src/stats/random.ts'
import { causalMaps, pointingMap, randomMaps, rowOf, stacked } from './maps.ts'

const plogp = (p: number) => (p === 0 ? 0 : p * Math.log2(p))
const entropyOf = (row: number[]) => -row.reduce((sum, p) => sum + plogp(p), 0)
const at = (values: ArrayLike<number>, index: number) => values[index] ?? Number.NaN

/** The textbook form: half the Kullback-Leibler divergences of both from their mean. */
function divergenceOf(one: number[], other: number[]): number {
  return one.reduce((sum, p, key) => {
    const q = other[key] ?? 0
    const mean = (p + q) / 2
    return sum + (p === 0 ? 0 : (p / 2) * Math.log2(p / mean)) + (q === 0 ? 0 : (q / 2) * Math.log2(q / mean))
  }, 0)
}

function distanceOf(maps: Float32Array, size: number, one: number, other: number): number {
  let sum = 0
  for (let query = 1; query < size; query += 1) {
    sum += divergenceOf(rowOf(maps, size, one, query), rowOf(maps, size, other, query))
  }
  return Math.sqrt(sum / (size - 1))
}

/** Two heads over three tokens; float64 values of scipy below are of these rows. */
const first = [1, 0, 0, 0.9, 0.1, 0, 0.2, 0.3, 0.5]
const second = [1, 0, 0, 0.4, 0.6, 0, 0.6, 0.3, 0.1]
const threeTokens = wholeMap(Float32Array.from([...first, ...second]), 2, 3)

describe('sumOfLogs', () => {
  it('is x log2 x within 1e-12 of x from the least normal float to 2, and 0 at 0', () => {
    const random = seededRandom(1)
    const values = Float32Array.from({ length: 20_000 }, () => 2 ** (1 - 126 * random() ** 3))
    values.set([0, 1, 2, 0.5, 2 ** -126, 1 - 2 ** -24, 1 + 2 ** -23])
    let worst = 0
    for (const [index, x] of values.entries()) {
      if (x > 0) worst = Math.max(worst, Math.abs(sumOfLogs(values, index, 1) - plogp(x)) / Math.min(1, x))
    }
    expect(worst).toBeLessThan(1e-12)
    expect(sumOfLogs(values, 0, 1)).toBe(0)
  })
  it('passes over numbers too small to be normal as if they were 0', () => {
    expect(Math.abs(sumOfLogs(Float32Array.of(1e-40, 1e-45), 0, 2))).toBeLessThan(1e-36)
  })
  it('stays within 1e-12 over a row of 4,096 keys, where errors could add up', () => {
    const random = seededRandom(2)
    const weights = Array.from({ length: 4096 }, () => Math.exp(20 * random()))
    const sum = weights.reduce((total, weight) => total + weight, 0)
    const row = Float32Array.from(weights, (weight) => weight / sum)
    expect(Math.abs(sumOfLogs(row, 0, 4096) + entropyOf([...row]))).toBeLessThan(1e-12)
    const two = stacked(row, row.toReversed())
    const exact = [...row].reduce((total, p, key) => total + plogp(p + at(row, 4095 - key)), 0)
    expect(Math.abs(sumOfPairLogs(two, 0, 4096, 4096) - exact)).toBeLessThan(1e-12)
  })
  it('does not hide a value that is not a number', () => {
    expect(sumOfLogs(Float32Array.of(0.5, Number.NaN), 0, 2)).toBeNaN()
  })
})

describe('headEntropies', () => {
  it('agrees with scipy.stats.entropy(row, base=2), query 0 left out', () => {
    const [one, other] = headEntropies(threeTokens)
    expect(one).toBeCloseTo((0.46899559358928117 + 1.4854752972273346) / 2, 6)
    expect(other).toBeCloseTo((0.9709505944546688 + 1.295461844238322) / 2, 6)
  })
  it('is 0 for a head that always looks at one key, and the mean of log2(i + 1) for equal attention', () => {
    const maps = stacked(
      pointingMap(8, (query) => query >> 1),
      causalMaps(1, 8, () => 1),
    )
    const [sharp, flat] = headEntropies(wholeMap(maps, 2, 8))
    expect(sharp).toBe(0)
    const most = [1, 2, 3, 4, 5, 6, 7].reduce((sum, query) => sum + Math.log2(query + 1), 0) / 7
    expect(flat).toBeCloseTo(most, 6)
  })
  it('is 0 for a map of one token', () => {
    expect([...headEntropies(wholeMap(Float32Array.of(1), 1, 1))]).toEqual([0])
  })
})

describe('jsDistances', () => {
  it('agrees with scipy.spatial.distance.jensenshannon(p, q, base=2): root of the mean of its squares', () => {
    // scipy 1.17.1: squares of rows 1 and 2 are 0.2140949613535161 and 0.1804820237218406; query 0 is left out.
    expect(at(jsDistances(threeTokens), 1)).toBeCloseTo(0.44417169263436673, 7)
  })
  it.each([
    // Each pair as the last row of a map of three tokens whose second row is the same in both heads.
    { p: [0.5, 0.5, 0], q: [0.5, 0.25, 0.25], scipy: 0.3945111687006674 },
    { p: [0.1, 0.2, 0.7], q: [0.3, 0.3, 0.4], scipy: 0.2736668758986993 },
    { p: [1, 0, 0], q: [0, 0.5, 0.5], scipy: 1 },
  ])('of rows $p and $q is $scipy as scipy has it', ({ p, q, scipy }) => {
    const shared = [1, 0, 0, 0.5, 0.5, 0]
    const maps = wholeMap(Float32Array.from([...shared, ...p, ...shared, ...q]), 2, 3)
    expect(at(jsDistances(maps), 1) * Math.SQRT2).toBeCloseTo(scipy, 6)
  })
  it('agrees with the textbook form on random maps', () => {
    const [heads, size] = [4, 24]
    const maps = randomMaps(heads, size, 5)
    const distances = jsDistances(wholeMap(maps, heads, size))
    for (let one = 0; one < heads; one += 1) {
      for (let other = 0; other < heads; other += 1) {
        const expected = one === other ? 0 : distanceOf(maps, size, one, other)
        expect(Math.abs(at(distances, one * heads + other) - expected)).toBeLessThan(1e-9)
      }
    }
  })
  it('is exactly 0 between equal heads and 1 between heads that share no key', () => {
    const even = pointingMap(12, (query) => (query === 0 ? 0 : 2 * ((query - 1) >> 1)))
    const odd = pointingMap(12, (query) => (query === 0 ? 0 : 2 * ((query + 1) >> 1) - 1))
    const noisy = randomMaps(1, 12, 6)
    const distances = jsDistances(wholeMap(stacked(even, odd, noisy, noisy), 4, 12))
    expect(at(distances, 1)).toBe(1)
    expect(at(distances, 2 * 4 + 3)).toBe(0)
  })
  it('is a metric: symmetric, zero on the diagonal, and no way round is shorter', () => {
    const heads = 12
    const distances = jsDistances(wholeMap(randomMaps(heads, 9, 7, 12), heads, 9))
    const between = (one: number, other: number) => at(distances, one * heads + other)
    for (let a = 0; a < heads; a += 1) {
      expect(between(a, a)).toBe(0)
      for (let b = 0; b < heads; b += 1) {
        expect(between(a, b)).toBe(between(b, a))
        for (let c = 0; c < heads; c += 1) expect(between(a, c)).toBeLessThanOrEqual(between(a, b) + between(b, c))
      }
    }
  })
  it('does not change when the keys of a row are permuted alike in all heads', () => {
    const [heads, size] = [3, 10]
    const maps = randomMaps(heads, size, 8)
    const permuted = maps.slice()
    const random = seededRandom(9)
    for (let query = 0; query < size; query += 1) {
      const order = shuffled([...Array(query + 1).keys()], random)
      for (let head = 0; head < heads; head += 1) {
        const row = rowOf(maps, size, head, query)
        permuted.set(
          order.map((key) => at(row, key)),
          (head * size + query) * size,
        )
      }
    }
    const before = jsDistances(wholeMap(maps, heads, size))
    jsDistances(wholeMap(permuted, heads, size)).forEach((distance, index) => {
      expect(distance).toBeCloseTo(at(before, index), 9)
    })
  })
  it('never reads above the diagonal', () => {
    const clean = randomMaps(2, 6, 10)
    const dirty = clean.map((value, index) => (index % 6 > Math.floor(index / 6) % 6 ? 0.7 : value))
    expect(jsDistances(wholeMap(dirty, 2, 6))).toEqual(jsDistances(wholeMap(clean, 2, 6)))
  })
  it('is the same of rows that come in pieces', () => {
    const [heads, size] = [3, 11]
    const maps = randomMaps(heads, size, 11)
    const pieces = startDivergences(heads)
    for (const [from, to] of [
      [0, 1],
      [1, 6],
      [6, 11],
    ] as const) {
      const rows = stacked(
        ...[0, 1, 2].map((head) => maps.subarray((head * size + from) * size, (head * size + to) * size)),
      )
      addMapDivergences(pieces, { probabilities: rows, heads, firstQuery: from, queries: to - from, keys: size })
    }
    const whole = startDivergences(heads)
    addMapDivergences(whole, wholeMap(maps, heads, size))
    expect(pairDistances(pieces)).toEqual(pairDistances(whole))
  })
})

describe('meanDistances', () => {
  /** pairs 01 02 03 12 13 23 */
  const pairs = [1, 2, 3, 4, 5, 6]
  it('parts pairs within a KV group from pairs between groups', () => {
    expect(meanDistances(pairs, [0, 0, 1, 1])).toEqual({ all: 3.5, withinGroups: 3.5, betweenGroups: 3.5 })
    expect(meanDistances(pairs, [0, 0, 0, 1])).toEqual({ all: 3.5, withinGroups: 7 / 3, betweenGroups: 14 / 3 })
  })
  it('has nothing within groups for MHA and nothing between groups for MQA', () => {
    expect(meanDistances(pairs, [0, 1, 2, 3])).toEqual({ all: 3.5, withinGroups: null, betweenGroups: 3.5 })
    expect(meanDistances(pairs, [0, 0, 0, 0])).toEqual({ all: 3.5, withinGroups: 3.5, betweenGroups: null })
  })
})
