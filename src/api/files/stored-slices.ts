import type { Queries } from '../../db/client.ts'
import type { RunRow } from '../../db/rows.ts'
import { findMatrices, type StoredMatrix } from '../../db/weight-slices.ts'
import { findWeightValues, matrixKey } from '../../db/weight-values.ts'
import { AppError } from '../../errors.ts'
import type { Projection } from '../../heads/rows.ts'

/** A stored matrix with its values, row-major [rows, columns]. */
export interface ReadMatrix extends StoredMatrix {
  values: Float32Array
}

export interface SlicePlace {
  layer: number
  projection: Projection
  /** all query heads where absent */
  head?: number
}

/**
 * The matrices of a layer that query heads read, or that of one head, with their values.
 * @throws AppError NOT_FOUND where none is stored, LIMIT_EXCEEDED where they hold more weights than `most`
 */
export async function requireMatrices(
  db: Queries,
  run: RunRow,
  { layer, projection, head }: SlicePlace,
  most = Number.POSITIVE_INFINITY,
): Promise<ReadMatrix[]> {
  const all = (await findMatrices(db, [run.id], { layer, projection })).get(run.id) ?? []
  const matrices = all.filter(
    ({ attempt, heads }) => attempt === run.attempt && (head === undefined || heads.includes(head)),
  )
  if (matrices.length === 0) throw noSlice(run, { layer, projection, ...(head !== undefined && { head }) })
  const weights = matrices.reduce((sum, { rows, columns }) => sum + rows * columns, 0)
  if (weights > most) {
    throw new AppError(
      'LIMIT_EXCEEDED',
      `the slices of run ${run.id}, layer ${layer}, W_${projection} hold ${weights} weights; a picture takes ${most}`,
      'Draw one head, or start a run with fewer rows.',
    )
  }
  const values = await findWeightValues(db, matrices)
  return matrices.map((matrix) => {
    const found = values.get(matrixKey(matrix))
    if (found === undefined) throw noSlice(run, { layer, projection })
    return { ...matrix, values: found }
  })
}

function noSlice(run: RunRow, { layer, projection, head }: SlicePlace): AppError {
  const which = head === undefined ? '' : `, head ${head}`
  return new AppError(
    'NOT_FOUND',
    `run ${run.id} holds no slice of layer ${layer}, W_${projection}${which}`,
    run.status === 'SUCCEEDED' ? 'Its `slices` say what was read.' : `The run is ${run.status}.`,
  )
}
