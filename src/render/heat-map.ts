import {
  type Axis,
  columnAxisHeight,
  drawColumnAxis,
  drawRowAxis,
  numberAxis,
  positionAxis,
  rowAxisWidth,
} from './axes.ts'
import { drawCells, mostCellsAsShapes } from './cells.ts'
import { type Matrix, type Pooling, poolToFit } from './matrix.ts'
import { matrixDimensions, matrixName, type Projection } from './matrix-name.ts'
import { framePicture, margin, poolingNote } from './picture-frame.ts'
import { describeHeadSharing, type PictureSubject } from './picture-subject.ts'
import { attentionShading, type Shading, weightsShading } from './shading.ts'
import type { Theme } from './theme.ts'
import { type WeightsScale, weightsScale } from './weights-ramp.ts'

/** What a picture's numbers are. */
export type Quantity =
  | {
      name: 'attention'
      /** text of each position, for the labels */
      tokens?: readonly string[]
      /** the matrix handed over is a coarser level of the map already */
      pooled?: Pooling
    }
  | {
      name: 'weights'
      projection: Projection
      /** the scale to keep to; by default that of the matrices shown */
      scale?: WeightsScale
      /** row of W that the slice's first row is; 0 by default */
      firstRow?: number
      firstColumn?: number
    }

export interface HeatMapPicture {
  subject: PictureSubject
  layer: number
  head: number
  /** null: MLA */
  kvHead: number | null
  matrix: Matrix
  quantity: Quantity
  /** lines under the title: prompt, tensor, fingerprint */
  notes?: readonly string[]
  theme?: Theme
}

const dimensionLabels: Readonly<Record<string, string>> = {
  d_model: 'input dimension (d_model)',
  d_head: 'head dimension (d_head)',
  latent: 'dimension of the latent',
}

/** Longest side that is drawn cell by cell; beyond it cells are pooled and the picture says so. */
const mostCellsASide = 512

/**
 * One matrix as a heat map: attention [query, key] with its tokens along both sides, or a weight slice [d_model, d_head].
 * @returns an SVG document
 */
export function drawHeatMap(picture: HeatMapPicture): string {
  const { subject, quantity, theme = 'light' } = picture
  const attention = quantity.name === 'attention'
  const causal = attention ? (row: number, column: number) => column > row : () => false
  const fitted = poolToFit(
    picture.matrix,
    mostCellsASide,
    attention ? 'maximum' : 'mean',
    (row, column) => !causal(row, column),
  )
  const matrix = fitted.matrix
  const factor = (fitted.pooling?.factor ?? 1) * ((attention ? quantity.pooled?.factor : undefined) ?? 1)
  const by = (attention ? quantity.pooled?.by : undefined) ?? fitted.pooling?.by
  const cell = cellSide(matrix, attention ? 54 : 12)
  const [rowAxis, columnAxis] = axesOf(quantity, matrix, cell, factor)
  const shading = shadingOf(picture, matrix, theme)

  const left = margin + rowAxisWidth(rowAxis)
  const height = matrix.rows * cell
  return framePicture({
    subject,
    theme,
    title: titleOf(picture),
    sharing: describeHeadSharing(subject, picture.kvHead),
    notes: [...(picture.notes ?? []), ...poolingNote(factor > 1 && by ? { factor, by } : null)],
    width: left + matrix.columns * cell + margin,
    height: height + columnAxisHeight(columnAxis, cell),
    shading,
    masked: attention ? 'masked: later tokens' : null,
    draw: (top, indent) =>
      [
        drawCells({
          matrix,
          shading,
          theme,
          x: left + indent,
          y: top,
          cell,
          asShapes: matrix.rows * matrix.columns <= mostCellsAsShapes,
          masked: causal,
          numbers: attention && cell >= 40 ? (value) => value.toFixed(2) : null,
        }),
        drawRowAxis(rowAxis, theme, left + indent, top, cell),
        drawColumnAxis(columnAxis, theme, left + indent, top + height, cell),
      ].join('\n'),
  })
}

/** Whole pixels a cell, so that edges are sharp: 13 at least up to 64 cells, where every label must be read. */
function cellSide({ rows, columns }: Matrix, most: number): number {
  const longest = Math.max(rows, columns, 1)
  if (longest <= 64) return Math.max(Math.min(most, 13), Math.min(most, Math.floor(600 / longest)))
  return Math.max(2, Math.floor(840 / longest))
}

function axesOf(
  quantity: Quantity,
  { rows, columns }: Matrix,
  cell: number,
  factor: number,
): [row: Axis, column: Axis] {
  if (quantity.name === 'attention') {
    const tokens = quantity.tokens ?? null
    return [
      positionAxis('query: the token that attends', rows, cell, tokens, factor),
      positionAxis('key: the token attended to', columns, cell, tokens, factor),
    ]
  }
  const [down, across] = matrixDimensions(quantity.projection)
  const label = (dimension: string) => dimensionLabels[dimension] ?? dimension
  return [
    numberAxis(label(down), rows, cell, quantity.firstRow ?? 0, factor, 14),
    numberAxis(label(across), columns, cell, quantity.firstColumn ?? 0, factor, 26),
  ]
}

function shadingOf({ subject, quantity }: HeatMapPicture, matrix: Matrix, theme: Theme): Shading {
  if (quantity.name === 'attention') return attentionShading(subject.kind, theme)
  return weightsShading(theme, quantity.scale ?? weightsScale([matrix]), `weight, ${matrixName(quantity.projection)}`)
}

function titleOf({ subject, layer, head, kvHead, quantity }: HeatMapPicture): string {
  const where = `${subject.model}, layer ${layer}, head ${head}`
  if (quantity.name === 'attention') return `Attention of ${where}`
  const own =
    kvHead !== null && subject.kvHeads !== subject.heads && (quantity.projection === 'K' || quantity.projection === 'V')
  return `${matrixName(quantity.projection)} of ${where}${own ? ` (K/V head ${kvHead})` : ''}`
}
