import { type Oklab, type Rgb, rgbToOklab } from './colour-space.ts'

/** What colours a terminal shows. */
export type ColourDepth = 'truecolor' | '256' | 'none'

/**
 * The colours to paint with: none where the user or the stream wants none, 24 bits where COLORTERM promises them, else the
 * 256 that every terminal of today has.
 */
export function colourDepth(colour: boolean, colorterm: string | undefined): ColourDepth {
  if (!colour) return 'none'
  return colorterm === 'truecolor' || colorterm === '24bit' ? 'truecolor' : '256'
}

/** The parameters of an escape sequence that sets a colour of the text (38) or of its ground (48). */
export function colourParameters(layer: 38 | 48, colour: Rgb, depth: ColourDepth): string {
  return depth === 'truecolor' ? `${layer};2;${colour.join(';')}` : `${layer};5;${nearestOf256(colour)}`
}

const cubeLevels = [0, 95, 135, 175, 215, 255]

/** Colours 16 to 255 of xterm: a cube of 6 x 6 x 6 and 24 greys. The first 16 are the user's own and say nothing. */
const palette: readonly Rgb[] = [
  ...cubeLevels.flatMap((red) => cubeLevels.flatMap((green) => cubeLevels.map((blue): Rgb => [red, green, blue]))),
  ...Array.from({ length: 24 }, (_, step): Rgb => [8 + 10 * step, 8 + 10 * step, 8 + 10 * step]),
]

let paletteLab: readonly Oklab[] | null = null
const known = new Map<string, number>()

/** The nearest of the 240 in OKLab, where distances are as the eye has them. */
function nearestOf256(colour: Rgb): number {
  const key = colour.join()
  const found = known.get(key)
  if (found !== undefined) return found
  paletteLab ??= palette.map(rgbToOklab)
  const [lightness, a, b] = rgbToOklab(colour)
  let nearest = 0
  let least = Number.POSITIVE_INFINITY
  for (const [index, [otherLightness, otherA, otherB]] of paletteLab.entries()) {
    const distance = (lightness - otherLightness) ** 2 + (a - otherA) ** 2 + (b - otherB) ** 2
    if (distance < least) {
      least = distance
      nearest = index
    }
  }
  known.set(key, nearest + 16)
  return nearest + 16
}
