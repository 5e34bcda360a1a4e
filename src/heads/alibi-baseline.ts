import { mean } from '../stats/summary.ts'
import { addDivergences, pairDistances, startDivergences } from './js-distance.ts'

/**
 * ALiBi's slopes (Press, Smith and Lewis 2022, "Train Short, Test Long", section 3): 2^(-8 h / n) for h = 1 ... n where n
 * is a power of two; else those of the next lower power, then every other one of the next higher, as the authors' code
 * and transformers' build_alibi_tensor have it.
 * @returns [heads]
 */
export function alibiSlopes(heads: number): Float64Array {
  const power = 2 ** Math.floor(Math.log2(heads))
  return Float64Array.from({ length: heads }, (_, head) =>
    head < power ? 2 ** ((-8 * (head + 1)) / power) : 2 ** ((-4 * (2 * (head - power) + 1)) / power),
  )
}

/**
 * Mean JS distance between heads that knew nothing but ALiBi's bias: query times key taken as constant, so that
 * p_ij is proportional to exp(-slope (i - j)). Exact, no prompt is involved.
 * @param slopes of the heads compared, as they stand in the softmax's argument: Falcon adds its biases before it divides
 * by sqrt(head dim), so its slopes are divided likewise
 * @param lengths tokens, each at least 2
 * @returns for each length the mean over pairs
 */
export function alibiDistances(slopes: ArrayLike<number>, lengths: readonly number[]): number[] {
  const heads = slopes.length
  const wanted = new Set(lengths)
  const longest = Math.max(...wanted)
  const divergences = startDivergences(heads)
  const row = new Float32Array(heads * longest)
  const found = new Map<number, number>()
  for (let query = 1; query < longest; query += 1) {
    for (let head = 0; head < heads; head += 1) {
      fillAlibiRow(row.subarray(head * longest, head * longest + query + 1), slopes[head] ?? 0)
    }
    addDivergences(divergences, row, 0, longest, query + 1)
    if (wanted.has(query + 1)) found.set(query + 1, mean(pairDistances(divergences)))
  }
  return lengths.map((length) => found.get(length) ?? Number.NaN)
}

/** @param row keys 0 to the query, which is last */
function fillAlibiRow(row: Float32Array, slope: number): void {
  let sum = 0
  for (let key = 0; key < row.length; key += 1) sum += Math.exp(-slope * (row.length - 1 - key))
  for (let key = 0; key < row.length; key += 1) row[key] = Math.exp(-slope * (row.length - 1 - key)) / sum
}
