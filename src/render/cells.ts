import { textOn, toHex } from './colour-space.ts'
import type { Matrix } from './matrix.ts'
import { encodePalettePng, pngDataUri } from './palette-png.ts'
import type { Shading } from './shading.ts'
import { maskId, short, textAt } from './svg.ts'
import { grounds, type Theme } from './theme.ts'

/**
 * Up to this many cells a picture draws them as shapes: sharp at any size and in print, and a change of drawing or of
 * data is a readable diff. Beyond it each matrix becomes an image of one pixel a cell, a fifth of the bytes and quick to
 * show, where a browser would have to lay out tens of thousands of shapes.
 */
export const mostCellsAsShapes = 4096

export interface CellsPicture {
  matrix: Matrix
  shading: Shading
  theme: Theme
  x: number
  y: number
  /** side of a cell, pixels */
  cell: number
  asShapes: boolean
  /** cells that hold nothing, by row and column: hatched, never the colour of zero */
  masked?: (row: number, column: number) => boolean
  /** prints each value on its cell */
  numbers?: ((value: number) => string) | null
}

/** One matrix with its outline. */
export function drawCells(picture: CellsPicture): string {
  const { matrix, shading, theme, x, y, cell } = picture
  const { rows, columns } = matrix
  const steps = new Int16Array(rows * columns)
  for (let row = 0, at = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++, at++) {
      steps[at] = picture.masked?.(row, column) ? -1 : shading.step(matrix.values[at] ?? Number.NaN)
    }
  }
  const frame = `x="${short(x)}" y="${short(y)}" width="${short(columns * cell)}" height="${short(rows * cell)}"`
  return [
    picture.asShapes ? drawShapes(picture, steps) : drawImage(picture, steps, frame),
    drawMasked(picture, steps),
    `<rect ${frame} fill="none" stroke="${grounds[theme].edge}" stroke-width="1"/>`,
    picture.numbers ? drawNumbers(picture, steps, picture.numbers) : '',
  ]
    .filter((part) => part !== '')
    .join('\n')
}

/** Runs of equal cells in a row become one shape, and all the shapes of a colour one path. */
function drawShapes({ matrix, shading, x, y, cell }: CellsPicture, steps: Int16Array): string {
  const paths = new Map<number, string>()
  eachRun(steps, matrix, (row, column, length, step) => {
    if (step < 0) return
    paths.set(step, `${paths.get(step) ?? ''}M${column} ${row}h${length}v1h-${length}z`)
  })
  const shapes = [...paths].sort(([one], [other]) => one - other)
  return [
    `<g transform="translate(${short(x)} ${short(y)}) scale(${short(cell)})" shape-rendering="crispEdges">`,
    ...shapes.map(([step, path]) => `<path fill="${toHex(shading.ramp[step] ?? [0, 0, 0])}" d="${path}"/>`),
    '</g>',
  ].join('\n')
}

function drawImage({ matrix, shading }: CellsPicture, steps: Int16Array, frame: string): string {
  const indices = Uint8Array.from(steps, (step) => Math.max(0, step))
  const address = pngDataUri(encodePalettePng(indices, matrix.columns, shading.ramp))
  return `<image ${frame} preserveAspectRatio="none" image-rendering="pixelated" href="${address}"/>`
}

function drawMasked(picture: CellsPicture, steps: Int16Array): string {
  const path = maskPath(picture, steps)
  return path === '' ? '' : `<path fill="url(#${maskId(picture.theme)})" d="${path}"/>`
}

/** Where each row's masked cells reach to its end, as under a causal mask, one staircase; else a shape a run. */
function maskPath({ matrix, x, y, cell }: CellsPicture, steps: Int16Array): string {
  const { rows, columns } = matrix
  const starts = Array.from({ length: rows }, (_, row) => firstOfMaskedEnd(steps, row, columns))
  const masked = steps.reduce((count, step) => count + (step < 0 ? 1 : 0), 0)
  if (masked === 0) return ''
  if (starts.reduce((sum, start) => sum + columns - start, 0) !== masked) {
    let path = ''
    eachRun(steps, matrix, (row, column, length, step) => {
      if (step >= 0) return
      const width = short(length * cell)
      path += `M${short(x + column * cell)} ${short(y + row * cell)}h${width}v${short(cell)}h-${width}z`
    })
    return path
  }
  let path = `M${short(x + columns * cell)} ${short(y)}H${short(x + (starts[0] ?? columns) * cell)}`
  for (let row = 1; row < rows; row++) {
    if (starts[row] === starts[row - 1]) continue
    path += `V${short(y + row * cell)}H${short(x + (starts[row] ?? columns) * cell)}`
  }
  return `${path}V${short(y + rows * cell)}H${short(x + columns * cell)}z`
}

function firstOfMaskedEnd(steps: Int16Array, row: number, columns: number): number {
  let start = columns
  while (start > 0 && (steps[row * columns + start - 1] ?? 0) < 0) start -= 1
  return start
}

function drawNumbers(
  { matrix, shading, x, y, cell }: CellsPicture,
  steps: Int16Array,
  format: (value: number) => string,
): string {
  const size = Math.min(13, Math.floor(cell / 3.2))
  const texts: string[] = []
  for (const [at, step] of steps.entries()) {
    if (step < 0) continue
    const row = Math.floor(at / matrix.columns)
    const column = at % matrix.columns
    texts.push(
      textAt(x + (column + 0.5) * cell, y + (row + 0.5) * cell + size * 0.36, format(matrix.values[at] ?? 0), {
        size,
        anchor: 'middle',
        fill: textOn(shading.ramp[step] ?? [0, 0, 0]),
      }),
    )
  }
  return texts.join('\n')
}

function eachRun(
  steps: Int16Array,
  { rows, columns }: Matrix,
  visit: (row: number, column: number, length: number, step: number) => void,
): void {
  for (let row = 0; row < rows; row++) {
    let start = 0
    for (let column = 1; column <= columns; column++) {
      const step = steps[row * columns + start] ?? -1
      if (column < columns && steps[row * columns + column] === step) continue
      visit(row, start, column - start, step)
      start = column
    }
  }
}
