import { AppError } from '../errors.ts'

/**
 * Rows of the attention maps of one layer for one prompt: softmax probabilities `[heads, queries, keys]`, row-major.
 * A whole map is firstQuery 0 and queries = keys; a long prompt comes in several pieces, in rising order. What stands
 * above the diagonal is never read.
 */
export interface MapRows {
  probabilities: Float32Array
  heads: number
  /** position of the first row's query token */
  firstQuery: number
  queries: number
  /** at least firstQuery + queries */
  keys: number
}

/** A whole map `[heads, size, size]` as rows. */
export function wholeMap(probabilities: Float32Array, heads: number, size: number): MapRows {
  return { probabilities, heads, firstQuery: 0, queries: size, keys: size }
}

/**
 * A row is found by `rowStart(rows, query)` for head 0, and `headStride(rows)` further for each next head; its length
 * is query + 1.
 */
export function rowStart(rows: MapRows, query: number): number {
  return (query - rows.firstQuery) * rows.keys
}

export function headStride(rows: MapRows): number {
  return rows.queries * rows.keys
}

/**
 * Room for float32 rounding, and for rows that were rounded to float16: half a unit in the last place is 2^-11 of a value,
 * and of one below 2^-14, as in long rows, 2^-25 whatever it is.
 */
const sumTolerance = (length: number) => 1e-3 + length * 2 ** -25

/**
 * Every row must be a distribution over the keys up to its query, or each number made of it would be wrong in silence.
 * @param where named in the message, as "layer 3"
 * @throws AppError CHECKPOINT_INVALID where a row is not a number (weights that hold NaN or infinity give such maps),
 * INTERNAL where the shape or a sum is wrong
 */
export function checkRows(rows: MapRows, where: string): void {
  const { probabilities, heads, firstQuery, queries, keys } = rows
  if (probabilities.length !== heads * queries * keys || firstQuery + queries > keys) {
    throw new AppError(
      'INTERNAL',
      `${where}: ${probabilities.length} values are no rows [${heads}, ${queries}, ${keys}] from query ${firstQuery}`,
    )
  }
  for (let head = 0; head < heads; head += 1) {
    for (let row = 0; row < queries; row += 1) {
      const start = (head * queries + row) * keys
      let sum = 0
      let least = 0
      for (let key = 0; key <= firstQuery + row; key += 1) {
        const value = probabilities[start + key] ?? 0
        sum += value
        if (value < least) least = value
      }
      if (Math.abs(sum - 1) <= sumTolerance(firstQuery + row + 1) && least === 0) continue
      const row0 = `${where}, head ${head}, query ${firstQuery + row}`
      if (!Number.isFinite(sum)) {
        throw new AppError(
          'CHECKPOINT_INVALID',
          `${row0}: attention probabilities sum to ${sum}, not to 1`,
          'Weights that hold NaN or infinity give such maps: look at the checkpoint.',
        )
      }
      throw new AppError('INTERNAL', `${row0}: probabilities sum to ${sum} and the least is ${least}`)
    }
  }
}
