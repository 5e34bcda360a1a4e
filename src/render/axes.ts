import { short, textAt } from './svg.ts'
import { textWidth, tokenLabel } from './text.ts'
import { grounds, type Theme } from './theme.ts'

/** A label every so many cells, so that lines of 11 pixels do not touch: 1, 2, 4, 8 and so on. */
function labelEvery(cell: number, pitch = 12): number {
  let every = 1
  while (every * cell < pitch) every *= 2
  return every
}

/** What stands along one side of a matrix. */
export interface Axis {
  title: string
  /** label of each cell, or null where it has none */
  labels: readonly (string | null)[]
}

/**
 * Labels of positions from their tokens: the tokens alone while each cell has room for one (up to about 64), above that
 * every 2nd, 4th and so on, then with their position before them. Pooled cells name the first position that they cover.
 */
export function positionAxis(
  title: string,
  count: number,
  cell: number,
  tokens: readonly string[] | null,
  factor: number,
): Axis {
  const every = labelEvery(cell)
  const labels = Array.from({ length: count }, (_, index) => {
    if (index % every !== 0) return null
    const position = index * factor
    const token = tokens?.[position]
    if (token === undefined) return String(position)
    return every * factor === 1 ? tokenLabel(token) : `${position} ${tokenLabel(token, 10)}`
  })
  return { title, labels }
}

/** Numbers along an axis: every 1, 5, 10, 50 and so on cells, as far apart as labels need. */
export function numberAxis(
  title: string,
  count: number,
  cell: number,
  first: number,
  factor: number,
  pitch: number,
): Axis {
  const every = [1, 5, 10, 50, 100, 500].find((step) => step * cell >= pitch) ?? 1000
  return {
    title,
    labels: Array.from({ length: count }, (_, index) => (index % every === 0 ? String(first + index * factor) : null)),
  }
}

const labelSize = 11

function widestLabel(axis: Axis): number {
  return Math.max(0, ...axis.labels.map((label) => (label === null ? 0 : textWidth(label, labelSize, 'mono'))))
}

/** Whether all labels fit over their own cells side by side; else they must stand upright. */
function labelsLieFlat(axis: Axis, cell: number): boolean {
  const every = axis.labels.findIndex((label, index) => index > 0 && label !== null)
  return widestLabel(axis) + 6 <= cell * (every < 1 ? Math.max(1, axis.labels.length) : every)
}

/** Labels to the left of a matrix whose upper left corner is (x, y), and the axis' title upright before them. */
export function drawRowAxis(axis: Axis, theme: Theme, x: number, y: number, cell: number): string {
  const { quiet, edge } = grounds[theme]
  const parts: string[] = []
  for (const [index, label] of axis.labels.entries()) {
    if (label === null) continue
    const middle = y + (index + 0.5) * cell
    parts.push(
      `<path stroke="${edge}" d="M${short(x - 4)} ${short(middle)}h4"/>`,
      textAt(x - 7, middle + labelSize * 0.36, label, { size: labelSize, face: 'mono', anchor: 'end' }),
    )
  }
  const centre = y + (axis.labels.length * cell) / 2
  parts.push(textAt(x - widestLabel(axis) - 18, centre, axis.title, { anchor: 'middle', fill: quiet, upwards: true }))
  return parts.join('\n')
}

/** Labels under a matrix whose lower left corner is (x, y), flat where they fit and upright else; the title below them. */
export function drawColumnAxis(axis: Axis, theme: Theme, x: number, y: number, cell: number): string {
  const { quiet, edge } = grounds[theme]
  const flat = labelsLieFlat(axis, cell)
  const parts: string[] = []
  for (const [index, label] of axis.labels.entries()) {
    if (label === null) continue
    const middle = x + (index + 0.5) * cell
    parts.push(`<path stroke="${edge}" d="M${short(middle)} ${short(y)}v4"/>`)
    if (flat) parts.push(textAt(middle, y + 16, label, { size: labelSize, face: 'mono', anchor: 'middle' }))
    else
      parts.push(
        textAt(middle + labelSize * 0.36, y + 7, label, {
          size: labelSize,
          face: 'mono',
          anchor: 'end',
          upwards: true,
        }),
      )
  }
  parts.push(
    textAt(x + (axis.labels.length * cell) / 2, y + columnAxisHeight(axis, cell) - 5, axis.title, {
      anchor: 'middle',
      fill: quiet,
    }),
  )
  return parts.join('\n')
}

/** Room that `drawColumnAxis` takes below the matrix. */
export function columnAxisHeight(axis: Axis, cell: number): number {
  return (labelsLieFlat(axis, cell) ? 20 : 12 + widestLabel(axis)) + 20
}

/** Room that `drawRowAxis` takes left of the matrix. */
export function rowAxisWidth(axis: Axis): number {
  return widestLabel(axis) + 32
}
