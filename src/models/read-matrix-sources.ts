import type { Checkpoint } from '../checkpoints/checkpoint.ts'
import type { HeadMatrixPlace } from './head-matrix-place.ts'
import { type HeadMatrixSource, matrixShape } from './head-weights.ts'
import { readHeadMatrices } from './read-head-weights.ts'

/**
 * Heads' whole matrices, row-major, each as it lies in the checkpoint or as the product of two that do. Products are
 * summed in float64 and rounded once; both factors of all of them are in memory at a time.
 * @throws AppError CHECKPOINT_INVALID as readHeadMatrices does
 */
export async function readMatrixSources(
  checkpoint: Checkpoint,
  sources: readonly HeadMatrixSource[],
): Promise<Float32Array[]> {
  const read = await readHeadMatrices(
    checkpoint,
    sources.flatMap((source) => ('factors' in source ? source.factors : [source])),
  )
  return sources.map((source) => {
    const [first = new Float32Array(0)] = read.splice(0, 1)
    if (!('factors' in source)) return first
    const [second = new Float32Array(0)] = read.splice(0, 1)
    return multiply(first, second, source.factors)
  })
}

/** [rows, inner] x [inner, columns] -> [rows, columns] */
function multiply(
  left: Float32Array,
  right: Float32Array,
  [leftPlace, rightPlace]: readonly [HeadMatrixPlace, HeadMatrixPlace],
): Float32Array {
  const [rows, inner] = matrixShape(leftPlace)
  const [, columns] = matrixShape(rightPlace)
  const product = new Float32Array(rows * columns)
  const sums = new Float64Array(columns)
  for (let row = 0; row < rows; row += 1) {
    sums.fill(0)
    for (let at = 0; at < inner; at += 1) {
      const factor = left[row * inner + at] ?? 0
      const from = at * columns
      for (let column = 0; column < columns; column += 1) {
        sums[column] = (sums[column] ?? 0) + factor * (right[from + column] ?? 0)
      }
    }
    product.set(sums, row * columns)
  }
  return product
}
