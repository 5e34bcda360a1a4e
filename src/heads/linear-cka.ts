/** A matrix prepared for linear CKA: its columns, centred, each lying whole in memory, and the norm of its own Gram. */
export interface CenteredColumns {
  rows: number
  columns: number
  /** [columns, rows] */
  values: Float32Array
  /** Frobenius norm of X^T X */
  selfNorm: number
}

/** @param matrix [rows, columns], row-major */
export function centerColumns(matrix: Float32Array, rows: number, columns: number): CenteredColumns {
  const values = new Float32Array(rows * columns)
  for (let column = 0; column < columns; column += 1) {
    let sum = 0
    for (let row = 0; row < rows; row += 1) sum += matrix[row * columns + column] ?? 0
    const centre = sum / rows
    for (let row = 0; row < rows; row += 1) {
      values[column * rows + row] = (matrix[row * columns + column] ?? 0) - centre
    }
  }
  const selfNorm = Math.sqrt(crossSquares(values, values, rows))
  return { rows, columns, values, selfNorm }
}

/**
 * Linear CKA (Kornblith, Norouzi, Lee and Hinton 2019, "Similarity of Neural Network Representations Revisited", eq. 4
 * and section 3): |Y^T X|^2 / (|X^T X| |Y^T Y|) in Frobenius norms of matrices with centred columns. 0 to 1; does not
 * change when either matrix is rotated among its columns or scaled. Grams are [columns, columns]: for heads [d_model,
 * d_head] that is d_model x d_head^2 multiplications a pair.
 * @returns NaN where a matrix has nothing but constant columns
 */
export function linearCka(x: CenteredColumns, y: CenteredColumns): number {
  return Math.min(1, crossSquares(x.values, y.values, x.rows) / (x.selfNorm * y.selfNorm))
}

/** Squared Frobenius norm of Y^T X of columns that lie whole in memory; four columns of Y at a time, to read X less. */
function crossSquares(x: Float32Array, y: Float32Array, rows: number): number {
  let squares = 0
  const whole = y.length - (y.length % (4 * rows))
  for (let own = 0; own < x.length; own += rows) {
    for (let other = 0; other < whole; other += 4 * rows) {
      let first = 0
      let second = 0
      let third = 0
      let fourth = 0
      for (let row = 0; row < rows; row += 1) {
        const value = x[own + row] ?? 0
        first += value * (y[other + row] ?? 0)
        second += value * (y[other + rows + row] ?? 0)
        third += value * (y[other + 2 * rows + row] ?? 0)
        fourth += value * (y[other + 3 * rows + row] ?? 0)
      }
      squares += first * first + second * second + third * third + fourth * fourth
    }
    for (let other = whole; other < y.length; other += rows) {
      let product = 0
      for (let row = 0; row < rows; row += 1) product += (x[own + row] ?? 0) * (y[other + row] ?? 0)
      squares += product * product
    }
  }
  return squares
}
