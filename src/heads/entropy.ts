import { sumOfLogs } from './log-sum.ts'
import { headStride, type MapRows, rowStart } from './map-rows.ts'

/**
 * Adds to `sums` [heads] the Shannon entropy (bits) of each head's rows. Query 0 is left out: it has one key, so its
 * entropy is 0 whatever the head does.
 */
export function addEntropies(sums: Float64Array, rows: MapRows): void {
  const stride = headStride(rows)
  for (let query = Math.max(1, rows.firstQuery); query < rows.firstQuery + rows.queries; query += 1) {
    const start = rowStart(rows, query)
    for (let head = 0; head < rows.heads; head += 1) {
      sums[head] = (sums[head] ?? 0) - sumOfLogs(rows.probabilities, start + head * stride, query + 1)
    }
  }
}

/**
 * Mean Shannon entropy of each head's attention rows, in bits: the mean over queries i >= 1 of
 * -sum over keys j <= i of p_ij log2 p_ij (Shannon 1948; for attention heads Clark et al. 2019, section 3.3). 0: each
 * token looks at one token. The greatest it can be is the mean of log2(i + 1), so compare equal lengths.
 * @param maps whole maps [heads, size, size]
 * @returns [heads]; 0 for a map of one token
 */
export function headEntropies(maps: MapRows): Float64Array {
  const sums = new Float64Array(maps.heads)
  addEntropies(sums, maps)
  const rows = Math.max(1, maps.queries - 1)
  return sums.map((sum) => Math.max(0, sum) / rows)
}
