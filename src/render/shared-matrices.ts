import { columnAxisHeight, drawColumnAxis, drawRowAxis, rowAxisWidth } from './axes.ts'
import { chip, drawReaders, pickFittingForms, readersHeight } from './brackets.ts'
import { drawCells, mostCellsAsShapes } from './cells.ts'
import { fitMatrices, gridAxes, gridShadings } from './grid-cells.ts'
import { gridColumns, groupHeads, type HeadMatrix } from './head-groups.ts'
import { drawMark } from './heading.ts'
import type { Quantity } from './heat-map.ts'
import { matrixName } from './matrix-name.ts'
import { framePicture, margin, poolingNote } from './picture-frame.ts'
import { describeSharing, type PictureSubject } from './picture-subject.ts'
import { formatNumber } from './shading.ts'
import { textAt } from './svg.ts'
import { formatRanges, textWidth } from './text.ts'
import { grounds, type Theme } from './theme.ts'
import { weightsScale } from './weights-ramp.ts'

const gap = 24
const labelHeight = 37

/**
 * Stored K or V matrices, each once, in its own cell size (never stretched to its bracket: cells of another shape look
 * like other data), centred under the query heads that read it.
 */
export function drawSharedMatrices(picture: {
  subject: PictureSubject
  layer: number
  heads: readonly HeadMatrix[]
  quantity: Quantity
  scale?: 'shared' | 'own'
  notes?: readonly string[]
  theme?: Theme
}): string {
  const { subject, quantity, theme = 'light', scale = 'shared' } = picture
  const groups = groupHeads(picture.heads)
  const stored = groups.flatMap(({ heads }) => heads.slice(0, 1))
  const columns = gridColumns(groups.map(() => 1))
  const { matrices, pooling, cell } = fitMatrices(stored, quantity, columns)
  const shadings = gridShadings(subject, quantity, matrices, theme, scale)
  const [rowAxis, columnAxis] = gridAxes(
    quantity,
    matrices[0] ?? { rows: 0, columns: 0, values: [] },
    cell,
    pooling?.factor ?? 1,
  )
  const [widest, highest] = [
    Math.max(...matrices.map((m) => m.columns)) * cell,
    Math.max(...matrices.map((m) => m.rows)) * cell,
  ]

  const perRow = columns === 1 ? 32 : Math.max(16, Math.floor(widest / chip.width))
  const most = Math.max(...groups.map(({ heads }) => heads.length))
  const readers = readersHeight(most, perRow)
  const place = Math.max(widest, Math.min(most, perRow) * chip.width, 116)
  const left = margin + Math.max(0, rowAxisWidth(rowAxis) - (place - widest) / 2)
  const rowHeight = labelHeight + readers + highest + gap
  const rows = Math.ceil(groups.length / columns)
  const captions = pickFittingForms(
    groups.map(({ heads }, index) =>
      captionForms(
        heads.map(({ head }) => head),
        scale === 'own' ? weightsScale(matrices.slice(index, index + 1)).end : null,
      ),
    ),
    place + gap - 6,
    12,
  )

  return framePicture({
    subject,
    theme,
    title: titleOf(picture, groups.length),
    sharing: describeSharing(subject),
    notes: [...(picture.notes ?? []), ...poolingNote(pooling)],
    width: left + Math.min(columns, groups.length) * (place + gap) - gap + margin,
    height: rows * rowHeight - gap + columnAxisHeight(columnAxis, cell),
    shading: shadings.bar,
    masked: null,
    draw(top, indent) {
      const parts: string[] = []
      const asShapes = matrices.reduce((sum, each) => sum + each.rows * each.columns, 0) <= mostCellsAsShapes
      for (const [index, matrix] of matrices.entries()) {
        const group = groups[index]
        if (group === undefined) continue
        const column = index % columns
        const centre = left + indent + column * (place + gap) + place / 2
        const y = top + Math.floor(index / columns) * rowHeight
        const x = Math.round(centre - (matrix.columns * cell) / 2)
        const bottom = y + labelHeight + readers + highest
        const heads = group.heads.map(({ head }) => head)
        const label = group.kvHead === null ? 'the one latent' : `K/V head ${group.kvHead}`
        parts.push(
          drawMark(subject.kind, theme, centre - textWidth(label, 12) / 2 - 8, y + 1, 12),
          textAt(centre + 8, y + 11.5, label, { anchor: 'middle' }),
          textAt(centre, y + 28, captions[index] ?? '', { anchor: 'middle' }),
          drawReaders({
            kind: subject.kind,
            theme,
            centre,
            y: y + labelHeight + readers - readersHeight(heads.length, perRow),
            heads,
            perRow,
            fill: grounds[theme].sunken,
          }),
          drawCells({
            matrix,
            shading: shadings.each[index] ?? shadings.bar,
            theme,
            x,
            y: y + labelHeight + readers,
            cell,
            asShapes,
          }),
        )
        if (column === 0) parts.push(drawRowAxis(rowAxis, theme, x, y + labelHeight + readers, cell))
        if (index + columns >= groups.length) parts.push(drawColumnAxis(columnAxis, theme, x, bottom, cell))
      }
      return parts.join('\n')
    },
  })
}

/** From the longest form to the shortest. */
function captionForms(heads: readonly number[], end: number | null): string[] {
  const own = end === null ? '' : `, ±${formatNumber(end)}`
  if (heads.length === 1) {
    return [
      `stored once, read by head ${heads[0]} alone${own}`,
      `read by head ${heads[0]} alone${own}`,
      `head ${heads[0]}`,
    ]
  }
  const ranges = formatRanges(heads)
  return [`stored once, read by heads ${ranges}${own}`, `once for heads ${ranges}${own}`, `heads ${ranges}`]
}

function titleOf(
  {
    subject,
    layer,
    heads,
    quantity,
  }: { subject: PictureSubject; layer: number; heads: readonly HeadMatrix[]; quantity: Quantity },
  stored: number,
): string {
  const what = quantity.name === 'weights' ? matrixName(quantity.projection) : ''
  const matrices = stored === 1 ? '1 stored matrix' : `${stored} stored matrices`
  const readers =
    heads.length === 1
      ? `query head ${heads[0]?.head}`
      : heads.length === subject.heads
        ? `${heads.length} query heads`
        : `query heads ${formatRanges(heads.map(({ head }) => head))}`
  return `${what} of ${subject.model}, layer ${layer}: ${matrices} for ${readers}`
}
