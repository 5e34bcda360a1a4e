import { sumOfLogs, sumOfPairLogs } from './log-sum.ts'
import { headStride, type MapRows, rowStart } from './map-rows.ts'

/** Jensen-Shannon divergences of all pairs of heads, summed over query rows (bits). */
export interface Divergences {
  heads: number
  rows: number
  /** [heads (heads - 1) / 2]: pairs (0,1), (0,2), ... (1,2), ... */
  sums: Float64Array
  /** of the row at hand, [heads]: sum of p and sum of p log2 p */
  readonly masses: Float64Array
  readonly logs: Float64Array
}

export function startDivergences(heads: number): Divergences {
  return {
    heads,
    rows: 0,
    sums: new Float64Array((heads * (heads - 1)) / 2),
    masses: new Float64Array(heads),
    logs: new Float64Array(heads),
  }
}

/**
 * Adds one query's row of every head. JSD(p, q) = H((p + q) / 2) - (H(p) + H(q)) / 2 (Lin 1991, section IV, with equal
 * weights), written with s = p + q: (sum of p log p + q log q - s log s) / 2 + (mass of p + mass of q) / 2. One
 * logarithm a key and pair.
 * @param start of head 0's row; each next head's is `stride` further
 * @param length keys of the row
 */
export function addDivergences(
  into: Divergences,
  values: Float32Array,
  start: number,
  stride: number,
  length: number,
): void {
  const { heads, sums, masses, logs } = into
  for (let head = 0; head < heads; head += 1) {
    const from = start + head * stride
    let mass = 0
    for (let key = 0; key < length; key += 1) mass += values[from + key] ?? 0
    masses[head] = mass
    logs[head] = sumOfLogs(values, from, length)
  }
  let pair = 0
  for (let one = 0; one < heads; one += 1) {
    const own = (logs[one] ?? 0) + (masses[one] ?? 0)
    for (let other = one + 1; other < heads; other += 1) {
      const shared = sumOfPairLogs(values, start + one * stride, start + other * stride, length)
      const divergence = (own + (logs[other] ?? 0) + (masses[other] ?? 0) - shared) / 2
      sums[pair] = (sums[pair] ?? 0) + divergence
      pair += 1
    }
  }
  into.rows += 1
}

/** A mean divergence below this is rounding: what is left of equal heads, and a distance below 1e-6. */
const resolution = 1e-12

/**
 * The distance of each pair: the root of the mean divergence over the rows added, in [0, 1].
 *
 * Root of the mean, not mean of the roots. Both are metrics (the root of JSD is one: Endres and Schindelin 2003; so is
 * any Euclidean or plain mean of metrics). The root of the mean is what JS distance says of the two maps as
 * distributions over (query, key) with every query equally likely; it is Clark's sum of divergences but for a constant
 * and the root, so heads rank the same for one prompt; and small differences in many rows do not add up, as they would
 * where each is made larger by its own root.
 * @returns [heads (heads - 1) / 2]
 */
export function pairDistances({ rows, sums }: Divergences): Float64Array {
  return sums.map((sum) => (sum / rows < resolution ? 0 : Math.min(1, Math.sqrt(sum / rows))))
}

/**
 * Jensen-Shannon distance between heads, base 2: d(a, b) = sqrt(mean over queries i >= 1 of JSD(a_i, b_i)). 0: the same
 * map; 1: no key in common. Clark et al. 2019 ("What Does BERT Look At?", section 6) sum the divergences over tokens;
 * the mean makes prompts of different length comparable, the root makes it a metric. Query 0 is left out: it has one
 * key, so all heads agree there, and counting it would pull short prompts towards 0.
 * @param maps whole maps [heads, size, size] of at least two tokens
 * @returns [heads, heads], symmetric, zero diagonal
 */
export function jsDistances(maps: MapRows): Float64Array {
  const divergences = startDivergences(maps.heads)
  addMapDivergences(divergences, maps)
  return toMatrix(pairDistances(divergences), maps.heads)
}

/** Adds every row but query 0's. */
export function addMapDivergences(into: Divergences, rows: MapRows): void {
  const stride = headStride(rows)
  for (let query = Math.max(1, rows.firstQuery); query < rows.firstQuery + rows.queries; query += 1) {
    addDivergences(into, rows.probabilities, rowStart(rows, query), stride, query + 1)
  }
}

/** Pairs as a symmetric matrix [heads, heads] with a zero diagonal. */
export function toMatrix(pairs: ArrayLike<number>, heads: number): Float64Array {
  const matrix = new Float64Array(heads * heads)
  let pair = 0
  for (let one = 0; one < heads; one += 1) {
    for (let other = one + 1; other < heads; other += 1) {
      matrix[one * heads + other] = pairs[pair] ?? 0
      matrix[other * heads + one] = pairs[pair] ?? 0
      pair += 1
    }
  }
  return matrix
}

/** Mean distance over pairs of heads. */
export interface MeanDistances {
  all: number
  /** pairs that read the same K and V; null where there are none (MHA) */
  withinGroups: number | null
  /** pairs that read different K and V; null where there are none (MQA) */
  betweenGroups: number | null
}

/**
 * @param pairs [heads (heads - 1) / 2], at least one
 * @param kvHeads the K/V head that each head reads
 */
export function meanDistances(pairs: ArrayLike<number>, kvHeads: ArrayLike<number>): MeanDistances {
  let pair = 0
  const within = { sum: 0, count: 0 }
  const between = { sum: 0, count: 0 }
  for (let one = 0; one < kvHeads.length; one += 1) {
    for (let other = one + 1; other < kvHeads.length; other += 1) {
      const kind = kvHeads[one] === kvHeads[other] ? within : between
      kind.sum += pairs[pair] ?? 0
      kind.count += 1
      pair += 1
    }
  }
  return {
    all: (within.sum + between.sum) / (within.count + between.count),
    withinGroups: within.count === 0 ? null : within.sum / within.count,
    betweenGroups: between.count === 0 ? null : between.sum / between.count,
  }
}
