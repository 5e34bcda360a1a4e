import { blockOf } from '../architecture/fused-blocks.ts'
import type { ModelConfig } from '../architecture/model-config.ts'
import type { Projection } from '../heads/rows.ts'
import { type ProjectionLayout, projectionLayout } from './head-layout.ts'

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

/**
 * Which rows and columns of which tensor are W_Q, W_K, W_V or W_O of a head, from the config alone. W_Q, W_K and W_V are
 * [d_model, d_head] with input dimensions as rows, W_O is [d_head, d_model], as in the lecture and in TransformerLens.
 * @param matrix the K/V head for K and V, the query head for Q and O
 * @throws AppError CONFIG_UNSUPPORTED for MLA
 * @throws RangeError where the layer or the matrix is not there
 */
export function locateHeadMatrix(
  config: ModelConfig,
  layer: number,
  projection: Projection,
  matrix: number,
): HeadMatrixPlace {
  const layout = projectionLayout(config, layer)
  const { heads, headDim, hiddenSize } = config
  const kvHeads = config.attention[layer]?.kvHeads
  if (kvHeads == null) throw new RangeError(`${config.name} has no layer ${layer} with K/V heads`)
  const count = matrixCount(projection, heads, kvHeads)
  if (!Number.isInteger(matrix) || matrix < 0 || matrix >= count) {
    throw new RangeError(
      `layer ${layer} of ${config.name} has ${count} matrices W_${projection}, and none is ${matrix}`,
    )
  }
  const block = projection === 'O' ? matrix : blockOf(layout.order, { projection, head: matrix }, { heads, kvHeads })
  const own = { start: block * headDim, count: headDim }
  const all = { start: 0, count: hiddenSize }
  const inputsFirst = layout.axes === 'in,out'
  if (projection === 'O') {
    const inner = heads * headDim
    return inputsFirst
      ? { tensor: layout.output, tensorShape: [inner, hiddenSize], rows: own, columns: all, transposed: false }
      : { tensor: layout.output, tensorShape: [hiddenSize, inner], rows: all, columns: own, transposed: true }
  }
  const width = outputBlocks(layout, projection, heads, kvHeads) * headDim
  const tensor = layout[projection]
  return inputsFirst
    ? { tensor, tensorShape: [hiddenSize, width], rows: all, columns: own, transposed: false }
    : { tensor, tensorShape: [width, hiddenSize], rows: own, columns: all, transposed: true }
}

/** How many matrices of a projection a layer has. */
export function matrixCount(projection: Projection, heads: number, kvHeads: number): number {
  return projection === 'K' || projection === 'V' ? kvHeads : heads
}

/** [rows, columns] of a head's matrix. */
export function matrixShape({ rows, columns, transposed }: HeadMatrixPlace): [number, number] {
  return transposed ? [columns.count, rows.count] : [rows.count, columns.count]
}

/** The rows and columns of the tensor that the first `rows` x `columns` of a matrix come from. */
export function firstOf(
  place: HeadMatrixPlace,
  rows: number,
  columns: number,
): Pick<HeadMatrixPlace, 'rows' | 'columns'> {
  const [ofRows, ofColumns] = place.transposed ? [columns, rows] : [rows, columns]
  return {
    rows: { start: place.rows.start, count: Math.min(ofRows, place.rows.count) },
    columns: { start: place.columns.start, count: Math.min(ofColumns, place.columns.count) },
  }
}

/** Heads along the output axis of the tensor that holds a projection. */
function outputBlocks(
  { order }: ProjectionLayout,
  projection: 'Q' | 'K' | 'V',
  heads: number,
  kvHeads: number,
): number {
  return order === 'apart' ? matrixCount(projection, heads, kvHeads) : heads + 2 * kvHeads
}
