import { type Random, seededRandom } from '../../../src/stats/random.ts'

/** Causal maps [heads, size, size] whose rows are the weights that `weigh` gives, made to sum to 1. */
export function causalMaps(
  heads: number,
  size: number,
  weigh: (head: number, query: number, key: number) => number,
): Float32Array {
  const maps = new Float32Array(heads * size * size)
  for (let head = 0; head < heads; head += 1) {
    for (let query = 0; query < size; query += 1) {
      const weights = Array.from({ length: query + 1 }, (_, key) => weigh(head, query, key))
      const sum = weights.reduce((total, weight) => total + weight, 0)
      for (const [key, weight] of weights.entries()) maps[(head * size + query) * size + key] = weight / sum
    }
  }
  return maps
}

/** Random attention, some of it sharp and some flat. */
export function randomMaps(heads: number, size: number, seed: number, sharpness = 6): Float32Array {
  const random: Random = seededRandom(seed)
  return causalMaps(heads, size, () => Math.exp(sharpness * random() * random()))
}

/** One head that looks at all its keys alike. */
export function uniformMap(size: number): Float32Array {
  return causalMaps(1, size, () => 1)
}

/** One head all of whose attention goes where `keyOf` says; a query with no such key looks at itself. */
export function pointingMap(size: number, keyOf: (query: number) => number | null): Float32Array {
  return causalMaps(1, size, (_, query, key) => ((keyOf(query) ?? query) === key ? 1 : 0))
}

/** Maps of one head each, one after the other. */
export function stacked(...maps: Float32Array[]): Float32Array {
  const all = new Float32Array(maps.reduce((length, map) => length + map.length, 0))
  let start = 0
  for (const map of maps) {
    all.set(map, start)
    start += map.length
  }
  return all
}

/** A row of one head, as far as its query sees. */
export function rowOf(maps: Float32Array, size: number, head: number, query: number): number[] {
  const start = (head * size + query) * size
  return [...maps.subarray(start, start + query + 1)]
}
