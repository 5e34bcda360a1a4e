import { AppError } from '../../errors.ts'
import type { StoredSlice } from '../rows.ts'

/** Most weights of a slice that GraphQL gives as nested lists. */
const mostListedWeights = 65_536

/** Not a node: slices are read through their run, and `node` finds runs only. */
export function sliceId({ runId, attempt, layer, projection, head }: StoredSlice): string {
  return `${runId}/${attempt}/${layer}/${projection}/${head}`
}

/** The K/V head that a slice belongs to; null for Q and O, whose matrix is the query head's own. */
export function kvHeadOfSlice({ projection, matrix }: StoredSlice): number | null {
  return projection === 'K' || projection === 'V' ? matrix : null
}

/** @throws AppError LIMIT_EXCEEDED */
export function checkListed({ rows, columns }: StoredSlice): void {
  if (rows * columns <= mostListedWeights) return
  throw new AppError(
    'LIMIT_EXCEEDED',
    `a slice of ${rows} x ${columns} holds ${rows * columns} weights, more than ${mostListedWeights}`,
    'Read its arrayUrl, or start a run with fewer rows or columns.',
  )
}

/** [rows, columns] */
export function rowsOfSlice(values: Float32Array, { rows, columns }: StoredSlice): number[][] {
  return Array.from({ length: rows }, (_, row) => Array.from(values.subarray(row * columns, (row + 1) * columns)))
}
