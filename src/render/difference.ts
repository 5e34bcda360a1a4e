import { columnAxisHeight, drawColumnAxis, drawRowAxis, rowAxisWidth } from './axes.ts'
import { drawCells, mostCellsAsShapes } from './cells.ts'
import { drawColourBar } from './colour-bar.ts'
import { gridAxes } from './grid-cells.ts'
import { largestDifference, type Matrix, poolToFit } from './matrix.ts'
import { matrixName, type Projection } from './matrix-name.ts'
import { framePicture, margin, poolingNote } from './picture-frame.ts'
import { describeHeadSharing, type PictureSubject } from './picture-subject.ts'
import { formatNumber, weightsShading } from './shading.ts'
import { textAt } from './svg.ts'
import { fitText } from './text.ts'
import { grounds, type Theme } from './theme.ts'
import { weightsScale } from './weights-ramp.ts'

export interface DifferencePicture {
  /** of the baseline */
  subject: PictureSubject
  layer: number
  head: number
  kvHead: number | null
  projection: Projection
  /** the two slices and what to call them: run, model */
  baseline: { label: string; matrix: Matrix }
  candidate: { label: string; matrix: Matrix }
  notes?: readonly string[]
  theme?: Theme
}

const gap = 28
const labelHeight = 36

/**
 * Two weight slices of equal shape and candidate - baseline beside them. The slices share one scale; the difference has
 * its own, since it is often far smaller.
 * @returns an SVG document
 * @throws RangeError where the shapes differ
 */
export function drawDifference(picture: DifferencePicture): string {
  const { subject, projection, baseline, candidate, theme = 'light' } = picture
  const [one, other] = [baseline.matrix, candidate.matrix]
  if (one.rows !== other.rows || one.columns !== other.columns) {
    throw new RangeError(
      `Slices of ${one.rows} x ${one.columns} and ${other.rows} x ${other.columns} have no difference to draw.`,
    )
  }
  const values = Float64Array.from(
    { length: one.rows * one.columns },
    (_, at) => (other.values[at] ?? 0) - (one.values[at] ?? 0),
  )
  const fitted = [one, other, { ...one, values }].map((matrix) => poolToFit(matrix, 256, 'mean'))
  const pooling = fitted[0]?.pooling ?? null
  const matrices = fitted.map(({ matrix }) => matrix)
  const shape = matrices[0] ?? one
  const cell = Math.max(1, Math.min(10, Math.floor(280 / Math.max(shape.rows, shape.columns))))
  const shading = weightsShading(
    theme,
    weightsScale(matrices.slice(0, 2)),
    `weight, ${matrixName(projection)}, one scale for both`,
  )
  const differenceShading = weightsShading(theme, weightsScale(matrices.slice(2)), 'difference, candidate - baseline')
  const [rowAxis, columnAxis] = gridAxes({ name: 'weights', projection }, shape, cell, pooling?.factor ?? 1)
  const largest = largestDifference(one.values, other.values)

  const place = Math.max(shape.columns * cell, 240)
  const left = margin + rowAxisWidth(rowAxis)
  const width = left + 3 * (place + gap) - gap + margin
  const labels = [
    ['baseline', baseline.label],
    ['candidate', candidate.label],
    ['candidate - baseline', largest === 0 ? 'every value is equal' : `largest difference ${formatNumber(largest)}`],
  ]
  const half = Math.floor((width - 2 * margin) / 2)
  const matrixHeight = labelHeight + shape.rows * cell + columnAxisHeight(columnAxis, cell)
  return framePicture({
    subject,
    theme,
    title: `${matrixName(projection)} of layer ${picture.layer}, head ${picture.head}: two runs compared`,
    sharing: describeHeadSharing(subject, picture.kvHead),
    notes: [...(picture.notes ?? []), ...poolingNote(pooling)],
    width,
    height: matrixHeight,
    barWidth: half - 24,
    shading,
    masked: null,
    draw(top) {
      const asShapes = 3 * shape.rows * shape.columns <= mostCellsAsShapes
      const parts = matrices.flatMap((matrix, index) => {
        const middle = left + index * (place + gap) + place / 2
        const x = Math.round(middle - (shape.columns * cell) / 2)
        const y = top + labelHeight
        const [what = '', name = ''] = labels[index] ?? []
        return [
          textAt(middle, top + 12, what, { anchor: 'middle', face: 'bold' }),
          textAt(middle, top + 28, fitText(name, place, 12), { anchor: 'middle', fill: grounds[theme].quiet }),
          drawCells({ matrix, shading: index < 2 ? shading : differenceShading, theme, x, y, cell, asShapes }),
          index === 0 ? drawRowAxis(rowAxis, theme, x, y, cell) : '',
          drawColumnAxis(columnAxis, theme, x, y + shape.rows * cell, cell),
        ]
      })
      const bar = drawColourBar({
        shading: differenceShading,
        theme,
        x: margin + half,
        y: top + matrixHeight + 14,
        width: half,
        masked: null,
      })
      return [...parts, bar.svg].filter((part) => part !== '').join('\n')
    },
  })
}
