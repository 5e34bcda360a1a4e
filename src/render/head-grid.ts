import { columnAxisHeight, drawColumnAxis, drawRowAxis, rowAxisWidth } from './axes.ts'
import { bracketHeight, drawBracket, drawSpine, pickFitting, pickFittingForms } from './brackets.ts'
import { drawCells, mostCellsAsShapes } from './cells.ts'
import { fitMatrices, gridAxes, gridShadings, isLater, ownEnd } from './grid-cells.ts'
import { drawsOnce, gridColumns, groupHeads, type HeadGroup, type HeadMatrix } from './head-groups.ts'
import type { Quantity } from './heat-map.ts'
import { largestDifference } from './matrix.ts'
import { matrixName } from './matrix-name.ts'
import { framePicture, margin, poolingNote } from './picture-frame.ts'
import { describeSharing, type PictureSubject } from './picture-subject.ts'
import { formatNumber } from './shading.ts'
import { drawSharedMatrices } from './shared-matrices.ts'
import { textAt } from './svg.ts'
import { formatRanges } from './text.ts'
import { grounds, type Theme } from './theme.ts'

export interface HeadGridPicture {
  subject: PictureSubject
  layer: number
  /** in the order in which they are drawn: ascending */
  heads: readonly HeadMatrix[]
  quantity: Quantity
  /**
   * `shared` draws a K or V matrix that several heads read once, under the bracket of those heads; `heads` draws it once
   * for each, with the largest difference between them. Attention, W_Q and W_O belong to each head: always `heads`.
   */
  view?: 'shared' | 'heads'
  /** one scale for all, so that heads compare, or each its own */
  scale?: 'shared' | 'own'
  notes?: readonly string[]
  theme?: Theme
}

/** Heads of a picture in rows, with what stands around each. */
const labelHeight = 18
const gap = 20
const spineWidth = 22

/**
 * All heads of a layer in one picture, with a bracket over the query heads that read the same K and V.
 * @returns an SVG document
 * @throws RangeError without heads
 */
export function drawHeadGrid(picture: HeadGridPicture): string {
  if (picture.heads.length === 0) throw new RangeError('A grid of heads needs at least one head.')
  return drawsOnce(picture) ? drawSharedMatrices(picture) : drawEachHead(picture)
}

function drawEachHead(picture: HeadGridPicture): string {
  const { subject, heads, quantity, theme = 'light', scale = 'shared' } = picture
  const groups = groupHeads(heads)
  const columns = gridColumns(groups.map((group) => group.heads.length))
  const { matrices, pooling, cell } = fitMatrices(heads, quantity, columns)
  const shadings = gridShadings(subject, quantity, matrices, theme, scale)
  const [widest, highest] = [
    Math.max(...matrices.map((m) => m.columns)) * cell,
    Math.max(...matrices.map((m) => m.rows)) * cell,
  ]
  const [rowAxis, columnAxis] = gridAxes(
    quantity,
    matrices[0] ?? { rows: 0, columns: 0, values: [] },
    cell,
    pooling?.factor ?? 1,
  )
  const details = detailsOf(picture, groups, matrices)

  const place = Math.max(widest, 64)
  const labels = headLabels(picture, place)
  const spans = groups.some(({ heads: readers }) => readers.length > columns)
  const unshifted = margin + (spans ? spineWidth : 0) + rowAxisWidth(rowAxis)
  const rows = Math.ceil(heads.length / columns)
  const head = bracketHeight + labelHeight + (details === null ? 0 : 15)
  const rowHeight = head + highest + gap
  const attention = quantity.name === 'attention'

  return framePicture({
    subject,
    theme,
    title: titleOf(picture),
    sharing: describeSharing(subject),
    notes: [...(picture.notes ?? []), ...poolingNote(pooling)],
    width: unshifted + Math.min(columns, heads.length) * (place + gap) - gap + margin,
    height: rows * rowHeight - gap + columnAxisHeight(columnAxis, cell),
    shading: shadings.bar,
    masked: attention ? 'masked: later tokens' : null,
    draw(top, indent) {
      const left = unshifted + indent
      const parts: string[] = []
      const asShapes = matrices.reduce((sum, each) => sum + each.rows * each.columns, 0) <= mostCellsAsShapes
      for (const [index, matrix] of matrices.entries()) {
        const column = index % columns
        const x = left + column * (place + gap) + (place - matrix.columns * cell) / 2
        const y = top + Math.floor(index / columns) * rowHeight + head
        const middle = left + column * (place + gap) + place / 2
        const shading = shadings.each[index] ?? shadings.bar
        parts.push(
          textAt(middle, y - (details === null ? 5 : 20), labels[index] ?? '', {
            anchor: 'middle',
          }),
          drawCells({
            matrix,
            shading,
            theme,
            x,
            y,
            cell,
            asShapes,
            ...(attention ? { masked: isLater } : {}),
            numbers: attention && cell >= 40 ? (value) => value.toFixed(2) : null,
          }),
        )
        if (column === 0) parts.push(drawRowAxis(rowAxis, theme, x, y, cell))
        const detail = details?.[index]
        if (detail !== undefined) {
          const fill = grounds[theme].quiet
          parts.push(
            textAt(middle, y - 6, pickFitting(detail, place + gap - 4, 11), {
              size: 11,
              anchor: 'middle',
              fill,
            }),
          )
        }
        if (index + columns >= heads.length) {
          parts.push(drawColumnAxis(columnAxis, theme, x, y + matrix.rows * cell, cell))
        }
      }
      parts.push(
        drawGroups(picture, groups, {
          columns,
          left,
          top,
          place,
          rowHeight,
          theme,
          spineX: left - rowAxisWidth(rowAxis) - spineWidth / 2,
        }),
      )
      return parts.join('\n')
    },
  })
}

/** A bracket over each row's part of a group, and a spine where a group fills several rows. */
function drawGroups(
  { subject, quantity }: HeadGridPicture,
  groups: readonly HeadGroup<HeadMatrix>[],
  grid: { columns: number; left: number; top: number; place: number; rowHeight: number; theme: Theme; spineX: number },
): string {
  const { columns, left, top, place, rowHeight, theme } = grid
  const parts: string[] = []
  let start = 0
  for (const group of groups) {
    const end = start + group.heads.length
    const brackets: { x: number; y: number }[] = []
    for (let at = start; at < end; ) {
      const row = Math.floor(at / columns)
      const stop = Math.min(end, (row + 1) * columns)
      const x = left + (at % columns) * (place + gap)
      const y = top + row * rowHeight
      const labels = bracketLabels(subject, group, at > start, quantity)
      parts.push(drawBracket({ kind: subject.kind, theme, x, y, width: (stop - at) * (place + gap) - gap, labels }))
      brackets.push({ x, y })
      at = stop
    }
    if (start % columns === 0) parts.push(drawSpine(subject.kind, theme, grid.spineX, brackets))
    start = end
  }
  return parts.filter((part) => part !== '').join('\n')
}

function bracketLabels(
  subject: PictureSubject,
  { kvHead, heads }: HeadGroup<HeadMatrix>,
  again: boolean,
  quantity: Quantity,
): string[] {
  if (kvHead === null) return again ? ['the same latent'] : ['one latent, read by all heads', 'one latent']
  if (subject.kvHeads === subject.heads) return [`own K/V head ${kvHead}`, `own KV ${kvHead}`, `KV ${kvHead}`]
  if (again) return [`the same K/V head ${kvHead}`, `same KV ${kvHead}`, `KV ${kvHead}`]
  const readers = formatRanges(heads.map(({ head }) => head))
  const what =
    quantity.name === 'weights' && !['Q', 'O'].includes(quantity.projection) ? 'this one matrix' : 'one K and one V'
  return [
    `K/V head ${kvHead}: ${what}, read by heads ${readers}`,
    `K/V head ${kvHead}, read by heads ${readers}`,
    `K/V head ${kvHead}: heads ${readers}`,
    `KV ${kvHead}: heads ${readers}`,
    `KV ${kvHead}`,
  ]
}

function headLabels({ subject, quantity, heads }: HeadGridPicture, width: number): string[] {
  const shares = quantity.name === 'weights' && subject.kvHeads !== subject.heads
  return pickFittingForms(
    heads.map(({ head, kvHead }) =>
      shares && kvHead !== null
        ? [`head ${head} reads K/V head ${kvHead}`, `head ${head}, KV ${kvHead}`, `head ${head}`, String(head)]
        : [`head ${head}`, String(head)],
    ),
    width + gap - 4,
    12,
  )
}

/** Over each matrix: how far it is from the first of its group, or the end of its own scale. */
function detailsOf(
  picture: HeadGridPicture,
  groups: readonly HeadGroup<HeadMatrix>[],
  matrices: readonly { rows: number; columns: number; values: ArrayLike<number> }[],
): readonly (readonly string[])[] | null {
  const { quantity, subject, scale = 'shared' } = picture
  if (scale === 'own') {
    return matrices.map((matrix) => [`reaches to ${formatNumber(ownEnd(matrix, quantity))}`])
  }
  if (quantity.name !== 'weights' || !['K', 'V'].includes(quantity.projection) || subject.kvHeads === subject.heads)
    return null
  return groups.flatMap(({ heads: readers }) => {
    const first = readers[0]
    return readers.map(({ values }) => {
      const difference = formatNumber(largestDifference(first?.values ?? [], values))
      return readers.length === 1
        ? ['']
        : [`largest difference ${difference}`, `differs by ${difference}`, `Δ ${difference}`]
    })
  })
}

function titleOf({ subject, layer, heads, quantity }: HeadGridPicture): string {
  const what = quantity.name === 'attention' ? 'Attention' : matrixName(quantity.projection)
  const numbers = heads.map(({ head }) => head)
  const which =
    heads.length === subject.heads
      ? `all ${heads.length} heads`
      : `${heads.length === 1 ? 'head' : 'heads'} ${formatRanges(numbers)}`
  return `${what} of ${subject.model}, layer ${layer}, ${subject.heads === 1 ? 'its one head' : which}`
}
