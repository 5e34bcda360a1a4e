import type { WeightMatrixRow } from '../heads/rows.ts'
import type { HeadMatrixPlace, Span } from './head-matrix-place.ts'
import { firstOf, matrixShape } from './head-weights.ts'

type Slice = Pick<
  WeightMatrixRow,
  | 'rows'
  | 'columns'
  | 'values'
  | 'minimum'
  | 'maximum'
  | 'mean'
  | 'standardDeviation'
  | 'tensor'
  | 'tensorShape'
  | 'tensorRows'
  | 'tensorColumns'
  | 'transposed'
>

/**
 * The first rows and columns of a head's matrix, with where they come from and what they say together (standard
 * deviation with n).
 * @param matrix whole, as readHeadMatrices gives it for `place`
 * @param size at most that of the matrix
 */
export function sliceMatrix(
  matrix: Float32Array,
  place: HeadMatrixPlace,
  { rows, columns }: { rows: number; columns: number },
): Slice {
  const [, width] = matrixShape(place)
  const values = new Float32Array(rows * columns)
  for (let row = 0; row < rows; row += 1) {
    values.set(matrix.subarray(row * width, row * width + columns), row * columns)
  }
  const taken = firstOf(place, rows, columns)
  return {
    rows,
    columns,
    values: new Uint8Array(values.buffer),
    ...describe(values),
    tensor: place.tensor,
    tensorShape: place.tensorShape,
    tensorRows: indicesOf(taken.rows),
    tensorColumns: indicesOf(taken.columns),
    transposed: place.transposed,
  }
}

function indicesOf({ start, count }: Span): number[] {
  return Array.from({ length: count }, (_, index) => start + index)
}

function describe(values: Float32Array): Pick<Slice, 'minimum' | 'maximum' | 'mean' | 'standardDeviation'> {
  let minimum = Number.POSITIVE_INFINITY
  let maximum = Number.NEGATIVE_INFINITY
  let sum = 0
  for (const value of values) {
    minimum = Math.min(minimum, value)
    maximum = Math.max(maximum, value)
    sum += value
  }
  const mean = sum / values.length
  let squares = 0
  for (const value of values) squares += (value - mean) ** 2
  return { minimum, maximum, mean, standardDeviation: Math.sqrt(squares / values.length) }
}
