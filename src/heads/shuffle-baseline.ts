import { type Random, randomIndex } from '../stats/random.ts'
import { addDivergences, type Divergences } from './js-distance.ts'
import { headStride, type MapRows, rowStart } from './map-rows.ts'

/**
 * Adds the divergences of the same rows after each head's probabilities were permuted, independently, among the keys
 * that the query may see: how far apart heads would be that concentrate as these do but on keys of no relation. It is
 * no bound: heads that avoid each other lie above it.
 *
 * Rows are shuffled one query at a time in a scratch of [heads, keys]; the maps stay as they are. The order of draws is
 * query by query, so maps that come in pieces give the same numbers as whole ones.
 * @param window keys that a query sees, itself included; null where it sees all before it
 */
export function addShuffledDivergences(
  into: Divergences,
  rows: MapRows,
  random: Random,
  window: number | null = null,
): void {
  const { heads, firstQuery, queries, probabilities } = rows
  const stride = headStride(rows)
  const longest = firstQuery + queries
  const scratch = new Float32Array(heads * longest)
  for (let query = Math.max(1, firstQuery); query < longest; query += 1) {
    const length = query + 1
    const allowedFrom = window === null ? 0 : Math.max(0, length - window)
    for (let head = 0; head < heads; head += 1) {
      const start = rowStart(rows, query) + head * stride
      const row = scratch.subarray(head * longest, head * longest + length)
      row.set(probabilities.subarray(start, start + length))
      shuffle(row, allowedFrom, random)
    }
    addDivergences(into, scratch, 0, longest, length)
  }
}

/** Fisher and Yates' shuffle, in place, of the values from index `from` on. */
function shuffle(values: Float32Array, from: number, random: Random): void {
  for (let last = values.length - 1; last > from; last -= 1) {
    const other = from + randomIndex(random, last - from + 1)
    const held = values[last] ?? 0
    values[last] = values[other] ?? 0
    values[other] = held
  }
}
