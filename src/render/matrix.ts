/** A matrix as one run of numbers, row-major [rows, columns]. */
export interface Matrix {
  rows: number
  columns: number
  values: ArrayLike<number>
}

/** How many cells of the original, along each side, one cell of a smaller matrix stands for, and by what. */
export interface Pooling {
  factor: number
  by: 'mean' | 'maximum'
}

/**
 * Halves a matrix by a power of two until no side is longer than `most` cells. Mean for weights, maximum for attention,
 * where a lone spike must stay seen. Cells that `counts` refuses are left out; a cell without any of its own is NaN.
 */
export function poolToFit(
  matrix: Matrix,
  most: number,
  by: Pooling['by'],
  counts: (row: number, column: number) => boolean = () => true,
): { matrix: Matrix; pooling: Pooling | null } {
  let factor = 1
  while (Math.max(matrix.rows, matrix.columns) > most * factor) factor *= 2
  if (factor === 1) return { matrix, pooling: null }
  return { matrix: poolBlocks(matrix, factor, factor, by, counts), pooling: { factor, by } }
}

/** The mean or maximum of blocks of `down` x `across` cells; the last blocks hold what is left. Values not finite are left out. */
export function poolBlocks(
  matrix: Matrix,
  down: number,
  across: number,
  by: Pooling['by'],
  counts: (row: number, column: number) => boolean = () => true,
): Matrix {
  const rows = Math.ceil(matrix.rows / down)
  const columns = Math.ceil(matrix.columns / across)
  const sums = new Float64Array(rows * columns)
  const found = new Uint32Array(rows * columns)
  for (let row = 0; row < matrix.rows; row++) {
    const base = Math.floor(row / down) * columns
    for (let column = 0; column < matrix.columns; column++) {
      const value = matrix.values[row * matrix.columns + column] ?? Number.NaN
      if (!Number.isFinite(value) || !counts(row, column)) continue
      const at = base + Math.floor(column / across)
      const before = sums[at] ?? 0
      if (by === 'mean') sums[at] = before + value
      else if (found[at] === 0 || value > before) sums[at] = value
      found[at] = (found[at] ?? 0) + 1
    }
  }
  const values = sums.map((sum, at) => (found[at] === 0 ? Number.NaN : by === 'mean' ? sum / (found[at] ?? 1) : sum))
  return { rows, columns, values }
}

/** The greatest |one - other| of two matrices of equal shape. */
export function largestDifference(one: ArrayLike<number>, other: ArrayLike<number>): number {
  let largest = 0
  for (let i = 0; i < one.length; i++) largest = Math.max(largest, Math.abs((one[i] ?? 0) - (other[i] ?? 0)))
  return largest
}
