import { colourBarWidth, drawColourBar } from './colour-bar.ts'
import { drawHeading, headingWidth } from './heading.ts'
import type { Pooling } from './matrix.ts'
import type { PictureSubject } from './picture-subject.ts'
import type { Shading } from './shading.ts'
import { svgDocument } from './svg.ts'
import type { Theme } from './theme.ts'

export const margin = 24

/** What every picture has around its matrices: heading above, colour bar below. */
export interface PictureFrame {
  subject: PictureSubject
  theme: Theme
  title: string
  sharing: string
  notes: readonly string[]
  /** of the whole picture; it grows where heading or colour bar need more */
  width: number
  /** of what `draw` draws */
  height: number
  shading: Shading
  masked: string | null
  /** lines under the colour bar */
  barNotes?: readonly string[]
  /** room of the colour bar with its notes; the picture's by default */
  barWidth?: number
  /**
   * @param top where the matrices' part begins
   * @param indent how far it is moved to the right to stand in the middle of a picture that is wider than `width`
   */
  draw(top: number, indent: number): string
}

/** What a picture says of cells that stand for more than one value. */
export function poolingNote(pooling: Pooling | null): string[] {
  return pooling === null ? [] : [`Each cell is the ${pooling.by} of ${pooling.factor} x ${pooling.factor} values.`]
}

export function framePicture(frame: PictureFrame): string {
  const { subject, theme, title, sharing, notes } = frame
  const width = Math.ceil(
    Math.max(frame.width, 2 * margin + Math.max(colourBarWidth + 120, Math.min(720, headingWidth(title, subject)))),
  )
  const inner = width - 2 * margin
  const y = margin - 6
  const heading = drawHeading({ title, sharing, notes, subject, theme, x: margin, y, width: inner })
  const top = y + heading.height
  const barTop = top + frame.height + 14
  const bar = drawColourBar({
    shading: frame.shading,
    theme,
    x: margin,
    y: barTop,
    width: frame.barWidth ?? inner,
    masked: frame.masked,
    notes: frame.barNotes ?? [],
  })
  return svgDocument({
    width,
    height: barTop + bar.height + margin - 8,
    theme,
    title,
    description: [sharing, ...(subject.synthetic ? ['Synthetic weights'] : []), ...notes].join('. '),
    parts: [heading.svg, frame.draw(top, Math.floor((width - frame.width) / 2)), bar.svg],
  })
}
