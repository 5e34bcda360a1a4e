/** Rows or columns of a tensor: `count` from `start` on. */
export interface Span {
  start: number
  count: number
}

/** Where one head's whole matrix lies. */
export interface HeadMatrixPlace {
  tensor: string
  tensorShape: [number, number]
  /** of the tensor */
  rows: Span
  columns: Span
  /** the tensor's rows are the matrix's columns, as in a Linear layer [out, in] */
  transposed: boolean
}
