import { type Axis, positionAxis } from './axes.ts'
import type { HeadMatrix } from './head-groups.ts'
import type { Quantity } from './heat-map.ts'
import { type Matrix, type Pooling, poolToFit } from './matrix.ts'
import { matrixDimensions, matrixName } from './matrix-name.ts'
import type { PictureSubject } from './picture-subject.ts'
import { attentionShading, ownAttentionShading, type Shading, weightsShading } from './shading.ts'
import { tokenLabel } from './text.ts'
import type { Theme } from './theme.ts'
import { weightsScale } from './weights-ramp.ts'

/** Masked cells of attention: keys that come after the query. */
export const isLater = (row: number, column: number): boolean => column > row

/** Pixels that a map may take along a side, by the columns of its grid. */
function roomASide(columns: number): number {
  if (columns <= 1) return 420
  if (columns <= 2) return 320
  if (columns <= 4) return 208
  return columns <= 8 ? 152 : 112
}

/** Matrices as a grid draws them: all pooled alike, all with the same side of a cell. */
export interface FittedMatrices {
  matrices: readonly Matrix[]
  pooling: Pooling | null
  cell: number
}

/**
 * Pools matrices that are larger than their place in a grid. A weight's cell has the same size in every picture of equal
 * d_head, whatever the number of matrices, so that 16 stored matrices and one compare by their area.
 */
export function fitMatrices(heads: readonly HeadMatrix[], quantity: Quantity, columns: number): FittedMatrices {
  const attention = quantity.name === 'attention'
  const most = attention ? Math.min(128, roomASide(columns)) : 256
  const fitted = heads.map((head) =>
    attention
      ? poolToFit(head, most, 'maximum', (row, column) => !isLater(row, column))
      : poolToFit(head, most, 'mean'),
  )
  const matrices = fitted.map(({ matrix }) => matrix)
  const longest = Math.max(1, ...matrices.map(({ rows, columns: across }) => Math.max(rows, across)))
  const own = fitted.find(({ pooling }) => pooling !== null)?.pooling ?? null
  const before = attention ? (quantity.pooled ?? null) : null
  const pooling = own === null ? before : { factor: own.factor * (before?.factor ?? 1), by: before?.by ?? own.by }
  const room = roomASide(columns)
  return {
    matrices,
    pooling,
    cell: attention
      ? Math.max(1, Math.min(44, Math.floor(room / longest)))
      : Math.max(1, Math.min(10, Math.round(208 / longest))),
  }
}

/** One shading for all heads, or for each its own: weights to their 99.5th percentile, attention to `ownEnd`. */
export function gridShadings(
  subject: PictureSubject,
  quantity: Quantity,
  matrices: readonly Matrix[],
  theme: Theme,
  scale: 'shared' | 'own',
): { bar: Shading; each: readonly Shading[] } {
  if (quantity.name === 'attention') {
    if (scale === 'shared') {
      const bar = attentionShading(subject.kind, theme)
      return { bar, each: matrices.map(() => bar) }
    }
    return {
      bar: ownAttentionShading(subject.kind, theme),
      each: matrices.map((matrix) => attentionShading(subject.kind, theme, ownEnd(matrix, quantity))),
    }
  }
  const caption = `weight, ${matrixName(quantity.projection)}`
  if (scale === 'shared') {
    const bar = weightsShading(
      theme,
      quantity.scale ?? weightsScale(matrices),
      matrices.length === 1 ? caption : `${caption}, one scale for all`,
    )
    return { bar, each: matrices.map(() => bar) }
  }
  const bar = weightsShading(
    theme,
    { end: 1, largest: 1 },
    `${caption}, as a share of each matrix' 99.5th percentile of |w|`,
  )
  return {
    bar: { ...bar, notes: ['Colours do not compare between matrices.'] },
    each: matrices.map((matrix) => weightsShading(theme, weightsScale([matrix]), caption)),
  }
}

/**
 * The end of a matrix' own scale: the 99.5th percentile of |w|, or the largest probability after the first query, which
 * can only attend to itself and so has a 1 in every causal map.
 */
export function ownEnd(matrix: Matrix, quantity: Quantity): number {
  if (quantity.name === 'weights') return weightsScale([matrix]).end
  let largest = 0
  for (let at = matrix.rows > 1 ? matrix.columns : 0; at < matrix.rows * matrix.columns; at++) {
    const value = matrix.values[at] ?? 0
    if (value > largest) largest = value
  }
  return largest || 1
}

/**
 * Axes of a small matrix in a grid: every token where there is room, else every 2nd, 4th and so on with its position; of
 * what has no tokens the first and the last number.
 */
export function gridAxes(
  quantity: Quantity,
  { rows, columns }: Matrix,
  cell: number,
  factor: number,
): [row: Axis, column: Axis] {
  const ends = (title: string, count: number, first: number): Axis => ({
    title,
    labels: Array.from({ length: count }, (_, index) =>
      index === 0 || (index === count - 1 && count * cell > 24) ? String(first + index * factor) : null,
    ),
  })
  if (quantity.name === 'weights') {
    const row = quantity.firstRow ?? 0
    const column = quantity.firstColumn ?? 0
    const [down, across] = matrixDimensions(quantity.projection)
    return [ends(down, rows, row), ends(across, columns, column)]
  }
  const { tokens } = quantity
  if (tokens === undefined) return [ends('query', rows, 0), ends('key', columns, 0)]
  if (factor > 1 || cell < 12) {
    return [positionAxis('query', rows, cell, tokens, factor), positionAxis('key', columns, cell, tokens, factor)]
  }
  const labels = (count: number) =>
    Array.from({ length: count }, (_, index) => tokenLabel(tokens[index] ?? String(index), 10))
  return [
    { title: 'query', labels: labels(rows) },
    { title: 'key', labels: labels(columns) },
  ]
}
