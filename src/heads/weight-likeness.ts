import { centerColumns, linearCka } from './linear-cka.ts'

/** How alike the heads' matrices of one layer and projection are; every matrix [heads][heads], symmetric. */
export interface WeightLikeness {
  /** heads whose matrices are equal in every value, each head in one group, in rising order */
  groups: number[][]
  /** largest absolute difference of two values at the same place; the unit of the weights; NaN where one is NaN */
  maxDifference: number[][]
  /** of the matrices as vectors, -1 to 1: the same directions at the same places */
  cosine: number[][]
  /** linear CKA, 0 to 1: the same space of directions, in whatever basis the head has it */
  cka: number[][]
}

/**
 * Likeness of heads' W_K or W_V by value. Equal matrices are compared once: where all heads read one (MQA), nothing is
 * multiplied. Cosine 0 and CKA near its chance level are what independent matrices give; that level is not 0 for CKA but
 * about d_head / d_model (see docs/heads.md).
 *
 * Where a matrix is zero (cosine) or has constant columns only (CKA) the measure has no value: equal matrices count as 1,
 * others as 0.
 * @param matrices one for each head, [rows, columns] row-major, rows d_model and columns d_head
 */
export function weightLikeness(matrices: readonly Float32Array[], rows: number, columns: number): WeightLikeness {
  for (const [head, matrix] of matrices.entries()) {
    if (matrix.length !== rows * columns) {
      throw new RangeError(`head ${head}: ${matrix.length} values are no matrix [${rows}, ${columns}]`)
    }
  }
  const groups = groupEqual(matrices)
  const distinct = groups.flatMap((group) => matrices[group[0] ?? 0] ?? [])
  const groupOf = new Map(groups.flatMap((group, index) => group.map((head) => [head, index] as const)))
  const columnsOf = distinct.map((matrix) => centerColumns(matrix, rows, columns))

  const expand = (measure: (one: number, other: number) => number) => {
    const among = distinct.map((_, one) => distinct.map((_, other) => (other < one ? 0 : measure(one, other))))
    const at = (one: number, other: number) => among[Math.min(one, other)]?.[Math.max(one, other)] ?? 0
    return matrices.map((_, one) => matrices.map((_, other) => at(groupOf.get(one) ?? 0, groupOf.get(other) ?? 0)))
  }
  return {
    groups,
    maxDifference: expand((one, other) => largestDifference(distinct[one], distinct[other])),
    cosine: expand((one, other) => (one === other ? 1 : orZero(cosine(distinct[one], distinct[other])))),
    cka: expand((one, other) => {
      const [x, y] = [columnsOf[one], columnsOf[other]]
      return one === other || x === undefined || y === undefined ? 1 : orZero(linearCka(x, y))
    }),
  }
}

const orZero = (value: number) => (Number.isNaN(value) ? 0 : value)

function groupEqual(matrices: readonly Float32Array[]): number[][] {
  const groups: number[][] = []
  for (const [head, matrix] of matrices.entries()) {
    const group = groups.find((heads) => areEqual(matrices[heads[0] ?? 0], matrix))
    if (group === undefined) groups.push([head])
    else group.push(head)
  }
  return groups
}

/** Ends at the first value that differs, which for matrices that are not copies is nearly always the first. */
function areEqual(one: Float32Array | undefined, other: Float32Array): boolean {
  return one === other || (one?.every((value, index) => value === other[index]) ?? false)
}

/** Largest absolute difference of two matrices of one shape; NaN where one value is NaN. */
export function largestDifference(one: Float32Array = empty, other: Float32Array = empty): number {
  let largest = 0
  for (let index = 0; index < one.length; index += 1) {
    const difference = Math.abs((one[index] ?? 0) - (other[index] ?? 0))
    // A NaN is not less or equal to anything and so stays.
    if (!(difference <= largest)) largest = difference
    if (Number.isNaN(largest)) break
  }
  return largest
}

/** Cosine of two matrices of one shape as vectors; NaN where one of them is zero everywhere. */
export function cosine(one: Float32Array = empty, other: Float32Array = empty): number {
  let product = 0
  let ownSquares = 0
  let otherSquares = 0
  for (let index = 0; index < one.length; index += 1) {
    const x = one[index] ?? 0
    const y = other[index] ?? 0
    product += x * y
    ownSquares += x * x
    otherSquares += y * y
  }
  return Math.max(-1, Math.min(1, product / Math.sqrt(ownSquares * otherSquares)))
}

const empty = new Float32Array(0)
