import type { HeadSharingRow, Projection, WeightMatrixRow } from '../../src/heads/rows.ts'

/** A stored slice whose values say where they are: layer.matrix plus thousandths of the place. */
export function weightMatrix(
  layer: number,
  projection: Projection,
  matrix: number,
  more: Partial<WeightMatrixRow> = {},
): WeightMatrixRow {
  const rows = more.rows ?? 2
  const columns = more.columns ?? 3
  const values = Float32Array.from({ length: rows * columns }, (_, place) => layer + matrix / 10 + place / 1000)
  return {
    layer,
    projection,
    matrix,
    heads: [matrix],
    rows,
    columns,
    values: new Uint8Array(values.buffer),
    minimum: values.reduce((least, value) => Math.min(least, value)),
    maximum: values.reduce((most, value) => Math.max(most, value)),
    mean: 0,
    standardDeviation: 1,
    tensor: `h.${layer}.attn.c_attn.weight`,
    tensorShape: [8, 24],
    tensorRows: [0, 1],
    tensorColumns: [8, 9, 10],
    transposed: false,
    dtype: 'F32',
    ...more,
  }
}

/** Sharing of four heads in pairs. */
export function pairedSharing(layer: number, projection: Projection): HeadSharingRow {
  const square = (same: number, other: number) =>
    [0, 1, 2, 3].map((one) => [0, 1, 2, 3].map((two) => (one >> 1 === two >> 1 ? same : other)))
  return {
    layer,
    projection,
    groups: [
      [0, 1],
      [2, 3],
    ],
    byConstruction: true,
    maxDifference: square(0, 0.5),
    cosine: square(1, 0.25),
    cka: square(1, 0.1),
  }
}
