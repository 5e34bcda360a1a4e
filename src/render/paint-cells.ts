import { fromHex } from './colour-space.ts'
import { type Matrix, type Pooling, poolBlocks } from './matrix.ts'
import type { Shading } from './shading.ts'
import { type ColourDepth, colourParameters } from './terminal-colour.ts'

/** Characters for a terminal without colours, from little to much. */
const densities = '.:-=+*#%@'

/**
 * A matrix as lines of characters, two rows of cells to a line: as the upper and the lower half of a block in colours, else
 * pooled into one character that is the denser the higher the value. What is no number stays blank.
 */
export function paintCells(matrix: Matrix, shading: Shading, colours: ColourDepth, by: Pooling['by']): string[] {
  const shown = colours === 'none' ? poolBlocks(matrix, 2, 1, by) : matrix
  const step = (row: number, column: number) =>
    row < shown.rows ? shading.step(shown.values[row * shown.columns + column] ?? Number.NaN) : -1
  const height = colours === 'none' ? 1 : 2
  return Array.from({ length: Math.ceil(shown.rows / height) }, (_, line) =>
    paintSteps(
      Array.from({ length: shown.columns }, (_, column) => [
        step(line * height, column),
        step(line * height + height - 1, column),
      ]),
      shading,
      colours,
    ),
  )
}

/** One line: for each character the ramp's step of its upper and lower half, -1 for nothing. */
export function paintSteps(
  steps: readonly (readonly [upper: number, lower: number] | readonly number[])[],
  { ramp }: Shading,
  colours: ColourDepth,
): string {
  let line = ''
  let state = ''
  for (const [upper = -1, lower = -1] of steps) {
    if (colours === 'none') {
      line +=
        upper < 0
          ? ' '
          : (densities[Math.min(densities.length - 1, Math.floor((upper / ramp.length) * densities.length))] ?? ' ')
      continue
    }
    const colour = (layer: 38 | 48, step: number) => colourParameters(layer, ramp[step] ?? [0, 0, 0], colours)
    const [character, wanted] =
      upper < 0 && lower < 0
        ? [' ', '']
        : upper < 0
          ? ['▄', colour(38, lower)]
          : lower < 0
            ? ['▀', colour(38, upper)]
            : upper === lower
              ? ['█', colour(38, upper)]
              : ['▀', `${colour(38, upper)};${colour(48, lower)}`]
    if (wanted !== state) {
      // A ground that is no longer wanted must go; otherwise the new colours replace the old.
      const reset = wanted === '' || (state.includes('48;') && !wanted.includes('48;'))
      line += wanted === '' ? '\u001b[0m' : `\u001b[${reset ? '0;' : ''}${wanted}m`
      state = wanted
    }
    line += character
  }
  return state === '' ? line : `${line}\u001b[0m`
}

export type Paint = (text: string) => string

/** Paints text in a colour, or leaves it where there are none. */
export function painter(colours: ColourDepth, hex: string): Paint {
  if (colours === 'none') return (text) => text
  return (text) => `\u001b[${colourParameters(38, fromHex(hex), colours)}m${text}\u001b[39m`
}

/** Each cell as zoom x zoom cells. */
export function enlarge({ rows, columns, values }: Matrix, zoom: number): Matrix {
  if (zoom === 1) return { rows, columns, values }
  const across = columns * zoom
  const enlarged = Float64Array.from({ length: rows * zoom * across }, (_, at) => {
    const row = Math.floor(Math.floor(at / across) / zoom)
    return values[row * columns + Math.floor((at % across) / zoom)] ?? Number.NaN
  })
  return { rows: rows * zoom, columns: across, values: enlarged }
}
