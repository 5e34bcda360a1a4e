import type { ModelConfig } from '../architecture/model-config.ts'
import type { Checkpoint } from '../checkpoints/checkpoint.ts'
import { AppError } from '../errors.ts'
import type { Projection, WeightMatrixRow } from '../heads/rows.ts'
import type { PlannedSlices } from '../jobs/check-weight-slices.ts'
import { findHeadMatrices, type HeadMatrixSource, matrixShape, placeOf } from '../models/head-weights.ts'
import { requireTensor } from '../models/read-head-weights.ts'
import { readMatrixSources } from '../models/read-matrix-sources.ts'
import { sliceMatrix } from '../models/weight-slices.ts'
import { matrixName } from '../render/matrix-name.ts'

/** The whole matrices of one layer and projection. */
interface ReadSlices {
  slices: PlannedSlices
  /** of all of the layer's matrices, whichever are asked for: sharing is told of all */
  located: HeadMatrixSource[]
  matrices: Float32Array[]
}

/** All matrices of one layer and the projections asked for; a fused tensor is read once for all of them. */
export async function readLayer(
  ofLayer: readonly PlannedSlices[],
  checkpoint: Checkpoint,
  config: ModelConfig,
): Promise<ReadSlices[]> {
  const located = ofLayer.map(({ layer, projection }) => findHeadMatrices(config, layer, projection))
  const matrices = await readMatrixSources(checkpoint, located.flat())
  return ofLayer.map((slices, index) => {
    const own = located[index] ?? []
    return { slices, located: own, matrices: matrices.splice(0, own.length) }
  })
}

/**
 * The rows of the slices that are asked for.
 * @throws AppError CHECKPOINT_INVALID where any of the layer's weights is no number
 */
export function* rowsOf(
  { layer, projection, matrices: asked, ...size }: PlannedSlices,
  located: readonly HeadMatrixSource[],
  matrices: readonly Float32Array[],
  checkpoint: Checkpoint,
): Generator<WeightMatrixRow> {
  for (const [matrix, values] of matrices.entries())
    requireFinite(values, `${matrixName(projection)} ${matrix} of layer ${layer}`)
  for (const { matrix, heads } of asked) {
    const [source, values] = [located[matrix], matrices[matrix]]
    if (source === undefined || values === undefined)
      throw new RangeError(`${matrixName(projection)} has no matrix ${matrix}`)
    const { dtype } = requireTensor(checkpoint, 'factors' in source ? source.factors[0] : source)
    yield { layer, projection, matrix, heads, dtype, ...sliceMatrix(values, placeOf(source), size) }
  }
}

/** NaN has no place on a scale of colours or in JSON, and a model that has one computes nothing else. */
function requireFinite(values: Float32Array, what: string): void {
  const place = values.findIndex((value) => !Number.isFinite(value))
  if (place < 0) return
  throw new AppError(
    'CHECKPOINT_INVALID',
    `${what} holds ${values[place]}, its value ${place} in rows`,
    'Download the checkpoint again; weights in F16 may have overflowed when they were converted.',
  )
}

/** A message holds about so many bytes of weights. */
const batchBytes = 4 * 1024 * 1024

export function* inBatches(rows: Iterable<WeightMatrixRow>): Generator<WeightMatrixRow[]> {
  let batch: WeightMatrixRow[] = []
  let bytes = 0
  for (const row of rows) {
    batch.push(row)
    bytes += row.values.byteLength
    if (bytes < batchBytes) continue
    yield batch
    batch = []
    bytes = 0
  }
  if (batch.length > 0) yield batch
}

/** Matrices as they are, [d_model or latent, columns], and W_O and W_UV W_O turned to that, so that all are compared alike. */
export function modelDimensionsFirst(
  projection: Projection,
  located: readonly HeadMatrixSource[],
  matrices: readonly Float32Array[],
): { matrices: readonly Float32Array[]; rows: number } {
  const [first] = located
  const [rows, columns] = first === undefined ? [0, 0] : matrixShape(placeOf(first))
  if (projection !== 'O' && projection !== 'UVO') return { matrices, rows }
  return { matrices: matrices.map((matrix) => turn(matrix, rows, columns)), rows: columns }
}

function turn(matrix: Float32Array, rows: number, columns: number): Float32Array {
  const turned = new Float32Array(matrix.length)
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1)
      turned[column * rows + row] = matrix[row * columns + column] ?? 0
  }
  return turned
}
