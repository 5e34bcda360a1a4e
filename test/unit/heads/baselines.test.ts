import { describe, expect, it } from 'vitest'
import { alibiDistances, alibiSlopes } from '../../../src/heads/alibi-baseline.ts'
import { addMapDivergences, jsDistances, pairDistances, startDivergences } from '../../../src/heads/js-distance.ts'
import { type MapRows, wholeMap } from '../../../src/heads/map-rows.ts'
import { keepProfile, positionDistance, profileExtent, startProfiles } from '../../../src/heads/position-baseline.ts'
import { addShuffledDivergences } from '../../../src/heads/shuffle-baseline.ts'
import { seededRandom } from '../../../src/stats/random.ts'
import { mean } from '../../../src/stats/summary.ts'
import { causalMaps, pointingMap, randomMaps, stacked } from './maps.ts'

function shuffledDistances(rows: MapRows, seed: number, window: number | null = null): Float64Array {
  const divergences = startDivergences(rows.heads)
  addShuffledDivergences(divergences, rows, seededRandom(seed), window)
  return pairDistances(divergences)
}

describe('addShuffledDivergences', () => {
  it('parts heads that look at the same keys, and leaves the maps as they were', () => {
    const same = randomMaps(1, 40, 1, 12)
    const maps = wholeMap(stacked(same, same), 2, 40)
    const before = maps.probabilities.slice()
    expect(jsDistances(maps)[1]).toBe(0)
    expect(shuffledDistances(maps, 1)[0]).toBeGreaterThan(0.3)
    expect(maps.probabilities).toEqual(before)
  })
  it('leaves equal attention where it is: any order of equal weights is the same row', () => {
    const flat = causalMaps(2, 12, () => 1)
    expect(shuffledDistances(wholeMap(flat, 2, 12), 2)[0]).toBe(0)
  })
  it('gives heads of one key each the chance that both draw another: row i agrees once in i + 1', () => {
    const size = 400
    const maps = stacked(...[0, 1, 2, 3].map(() => pointingMap(size, () => 0)))
    let expected = 0
    for (let query = 1; query < size; query += 1) expected += 1 - 1 / (query + 1)
    const distances = shuffledDistances(wholeMap(maps, 4, size), 3)
    expect(mean(distances) ** 2).toBeCloseTo(expected / (size - 1), 2)
  })
  it('keeps within the keys that a sliding window leaves', () => {
    const size = 50
    const maps = stacked(
      pointingMap(size, (query) => query),
      pointingMap(size, (query) => query),
    )
    expect(shuffledDistances(wholeMap(maps, 2, size), 4, 1)[0]).toBe(0)
    // Two keys each: half of all rows agree.
    const halfAgree = (shuffledDistances(wholeMap(maps, 2, size), 4, 2)[0] ?? 0) ** 2
    expect(halfAgree).toBeGreaterThan(0.25)
    expect(halfAgree).toBeLessThan(0.75)
    expect((shuffledDistances(wholeMap(maps, 2, size), 4)[0] ?? 0) ** 2).toBeGreaterThan(0.8)
  })
  it('repeats for a seed, in pieces too, and differs between seeds', () => {
    const size = 20
    const maps = randomMaps(2, size, 5)
    const whole = shuffledDistances(wholeMap(maps, 2, size), 7)
    const pieces = startDivergences(2)
    const random = seededRandom(7)
    for (const [from, to] of [
      [0, 9],
      [9, 20],
    ] as const) {
      const probabilities = stacked(
        maps.subarray(from * size, to * size),
        maps.subarray((size + from) * size, (size + to) * size),
      )
      const rows = { probabilities, heads: 2, firstQuery: from, queries: to - from, keys: size }
      addShuffledDivergences(pieces, rows, random)
    }
    expect(pairDistances(pieces)).toEqual(whole)
    expect(shuffledDistances(wholeMap(maps, 2, size), 8)).not.toEqual(whole)
  })
})

/** Profiles of prompts whose maps have `tokens` tokens. */
function profilesOf(prompts: readonly Float32Array[], heads: number, tokens: number) {
  const profiles = startProfiles(heads, { tokens, prompts: prompts.length })
  for (const [prompt, maps] of prompts.entries()) keepProfile(profiles, prompt, wholeMap(maps, heads, tokens))
  return profiles
}

describe('positionDistance', () => {
  const steep = (head: number, query: number, key: number) => Math.exp(-(0.2 + head) * (query - key))
  it('is the distance itself where heads look at positions and nothing else', () => {
    const maps = causalMaps(3, 10, steep)
    const found = positionDistance(
      profilesOf(
        Array.from({ length: 6 }, () => maps),
        3,
        10,
      ),
    )
    const distances = jsDistances(wholeMap(maps, 3, 10))
    const expected = ((distances[1] ?? 0) + (distances[2] ?? 0) + (distances[5] ?? 0)) / 3
    expect(found?.value).toBeCloseTo(expected, 6)
    expect(found?.interval?.low).toBeCloseTo(expected, 6)
  })
  it('comes near the distance of true profiles where content is noise, nearer than profiles of those prompts are', () => {
    const [heads, tokens] = [4, 12]
    const noise = seededRandom(11)
    // Sharp noise around a bias; its true profile is the mean over very many prompts.
    const draw = () =>
      causalMaps(heads, tokens, (head, query, key) => steep(head / 6, query, key) * Math.exp(5 * noise()))
    const profileDistance = (prompts: Float32Array[]) => {
      const sum = new Float32Array(heads * tokens * tokens)
      for (const maps of prompts) for (const [cell, value] of maps.entries()) sum[cell] = (sum[cell] ?? 0) + value
      const divergences = startDivergences(heads)
      addMapDivergences(
        divergences,
        wholeMap(
          sum.map((value) => value / prompts.length),
          heads,
          tokens,
        ),
      )
      return mean(pairDistances(divergences))
    }
    const truth = profileDistance(Array.from({ length: 1500 }, draw))
    const few = Array.from({ length: 12 }, draw)
    const plain = profileDistance(few)
    const found = positionDistance(profilesOf(few, heads, tokens))
    expect(plain).toBeGreaterThan(truth)
    expect(Math.abs((found?.value ?? Number.NaN) - truth)).toBeLessThan(0.5 * (plain - truth))
    expect(found?.interval).not.toBeNull()
  })
  it('has no value of one prompt or one token, and no interval under five prompts', () => {
    const maps = causalMaps(2, 4, steep)
    expect(positionDistance(profilesOf([maps], 2, 4))).toBeNull()
    expect(positionDistance(profilesOf([causalMaps(2, 1, steep), causalMaps(2, 1, steep)], 2, 1))).toBeNull()
    expect(positionDistance(profilesOf([maps, maps, maps, maps], 2, 4))?.interval).toBeNull()
  })
  it('reads only the first rows of longer prompts', () => {
    const short = causalMaps(2, 5, steep)
    const long = causalMaps(2, 9, steep)
    const profiles = startProfiles(2, { tokens: 5, prompts: 2 })
    keepProfile(profiles, 0, wholeMap(long, 2, 9))
    keepProfile(profiles, 1, wholeMap(short, 2, 5))
    expect(positionDistance(profiles)?.value).toBeCloseTo(jsDistances(wholeMap(short, 2, 5))[1] ?? 0, 6)
  })
})

describe('profileExtent', () => {
  it('is the shortest prompt, at most 64 tokens of 24 prompts', () => {
    expect(profileExtent(1, 16, [30, 12, 50])).toEqual({ tokens: 12, prompts: 3 })
    expect(profileExtent(1, 8, [100, 200])).toEqual({ tokens: 64, prompts: 2 })
    expect(profileExtent(1, 8, [...Array<number>(24).fill(40), 3])).toEqual({ tokens: 40, prompts: 24 })
  })
  it.each([
    { layers: 24, heads: 16, prompts: 12 },
    { layers: 32, heads: 71, prompts: 24 },
    { layers: 61, heads: 128, prompts: 100 },
  ])('never takes more than 64 MiB ($layers layers, $heads heads, $prompts prompts)', ({ layers, heads, prompts }) => {
    const extent = profileExtent(layers, heads, Array<number>(prompts).fill(512))
    const bytes = layers * startProfiles(heads, extent).triangles.byteLength
    expect(extent.tokens).toBeGreaterThan(8)
    expect(bytes).toBeLessThanOrEqual(64 * 1024 ** 2)
  })
})

describe('alibiSlopes', () => {
  it('are those of Press et al. for 8 heads, and start at 2^-0.5 for 16', () => {
    expect([...alibiSlopes(8)]).toEqual([1, 2, 3, 4, 5, 6, 7, 8].map((power) => 2 ** -power))
    expect(alibiSlopes(16)[0]).toBe(2 ** -0.5)
  })
  it('take every other slope of 16 heads where 12 are no power of two', () => {
    const twelve = [...alibiSlopes(12)]
    expect(twelve.slice(0, 8)).toEqual([...alibiSlopes(8)])
    expect(twelve.slice(8)).toEqual([0, 2, 4, 6].map((place) => alibiSlopes(16)[place]))
  })
})

describe('alibiDistances', () => {
  it('is the distance of the maps that the biases alone give, at each length', () => {
    const slopes = alibiSlopes(4)
    const maps = (size: number) =>
      causalMaps(4, size, (head, query, key) => Math.exp(-(slopes[head] ?? 0) * (query - key)))
    const expected = (size: number) => {
      const divergences = startDivergences(4)
      addMapDivergences(divergences, wholeMap(maps(size), 4, size))
      return mean(pairDistances(divergences))
    }
    const found = alibiDistances(slopes, [9, 2, 9, 30])
    for (const [index, size] of [9, 2, 9, 30].entries()) expect(found[index]).toBeCloseTo(expected(size), 9)
  })
  it('is 0 for heads of one slope', () => {
    expect(alibiDistances([0.5, 0.5, 0.5], [12])).toEqual([0])
  })
})
