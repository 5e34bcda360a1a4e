import { blockOf } from '../architecture/fused-blocks.ts'
import { headMatrices } from '../architecture/head-matrices.ts'
import type { ModelConfig } from '../architecture/model-config.ts'
import type { Projection, StoredProjection } from '../heads/rows.ts'
import { type ProjectionLayout, projectionLayout } from './head-layout.ts'
import type { HeadMatrixPlace } from './head-matrix-place.ts'
import { absorbedFactors, locateLatentMatrix } from './latent-matrices.ts'

/** What a head's matrix is made of: its place in a tensor, or the places of two matrices that it is the product of. */
export type HeadMatrixSource = HeadMatrixPlace | { factors: readonly [HeadMatrixPlace, HeadMatrixPlace] }

/** Every matrix of a layer's projection. @throws AppError, RangeError as headMatrices does */
export function findHeadMatrices(config: ModelConfig, layer: number, projection: Projection): HeadMatrixSource[] {
  const { count } = headMatrices(config, layer, projection)
  return Array.from({ length: count }, (_, matrix) =>
    projection === 'QUK' || projection === 'UVO'
      ? { factors: absorbedFactors(config, layer, projection, matrix) }
      : locateHeadMatrix(config, layer, projection, matrix),
  )
}

/** The place of a matrix; of a product that which it would have in a tensor of its own, named by both factors. */
export function placeOf(source: HeadMatrixSource): HeadMatrixPlace {
  if (!('factors' in source)) return source
  const [left, right] = source.factors
  const [[rows], [, columns]] = [matrixShape(left), matrixShape(right)]
  return {
    tensor: `${left.tensor} x ${right.tensor}`,
    tensorShape: [rows, columns],
    rows: { start: 0, count: rows },
    columns: { start: 0, count: columns },
    transposed: false,
  }
}

/**
 * Which rows and columns of which tensor are W_Q, W_K, W_V or W_O of a head, from the config alone. W_Q, W_K and W_V are
 * [d_model, d_head] with input dimensions as rows, W_O is [d_head, d_model], as in the lecture and in TransformerLens.
 * Of MLA they are those of architecture/head-matrices.
 * @param matrix the K/V head for K and V, 0 for DKV, else the query head
 * @throws AppError CONFIG_UNSUPPORTED for a projection that the layer does not have
 * @throws RangeError where the layer or the matrix is not there
 */
export function locateHeadMatrix(
  config: ModelConfig,
  layer: number,
  projection: StoredProjection,
  matrix: number,
): HeadMatrixPlace {
  const { count } = headMatrices(config, layer, projection)
  if (!Number.isInteger(matrix) || matrix < 0 || matrix >= count) {
    throw new RangeError(
      `layer ${layer} of ${config.name} has ${count} matrices W_${projection}, and none is ${matrix}`,
    )
  }
  const kvHeads = config.attention[layer]?.kvHeads
  if (projection === 'DKV' || projection === 'UK' || projection === 'UV' || kvHeads == null) {
    return locateLatentMatrix(config, layer, projection, matrix)
  }
  const layout = projectionLayout(config, layer)
  const { heads, headDim, hiddenSize } = config
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
  if (order !== 'apart') return heads + 2 * kvHeads
  return projection === 'Q' ? heads : kvHeads
}
