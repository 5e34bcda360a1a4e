import { type AttentionKind, kindStyles } from './kind-style.ts'
import type { PictureSubject } from './picture-subject.ts'
import { short, textAt } from './svg.ts'
import { textWidth, wrapText } from './text.ts'
import { grounds, type Theme } from './theme.ts'

/** A part of a picture and how much room it took. */
export interface Block {
  svg: string
  height: number
}

const badge = 'SYNTHETIC WEIGHTS'
const badgeWidth = textWidth(badge, 12, 'bold') + 20

/** Pixels of title and badge side by side. */
export function headingWidth(title: string, { synthetic }: Pick<PictureSubject, 'synthetic'>): number {
  return Math.ceil(textWidth(title, 17, 'bold') + (synthetic ? 24 + badgeWidth : 0))
}

/** Title, badge, who shares K and V under the kind's mark, and notes, wrapped to the picture's width. */
export function drawHeading(heading: {
  title: string
  sharing: string
  notes: readonly string[]
  subject: Pick<PictureSubject, 'kind' | 'synthetic'>
  theme: Theme
  x: number
  y: number
  width: number
}): Block {
  const { subject, theme, x, y, width } = heading
  const title = drawTitle(heading.title, subject, theme, x, y, width)
  const parts = [title.svg]
  let at = y + title.height
  for (const [index, line] of wrapText(heading.sharing, width - 20, 13).entries()) {
    if (index === 0) parts.push(drawMark(subject.kind, theme, x, at + 3, 14))
    parts.push(textAt(x + 20, at + 15, line, { size: 13 }))
    at += 20
  }
  for (const note of heading.notes) {
    for (const line of wrapText(note, width, 12)) {
      parts.push(textAt(x, at + 14, line, { fill: grounds[theme].quiet }))
      at += 17
    }
  }
  return { svg: parts.join('\n'), height: at - y + 12 }
}

/** The title, and the badge beside it or, where there is no room, below. */
export function drawTitle(
  title: string,
  subject: Pick<PictureSubject, 'synthetic'>,
  theme: Theme,
  x: number,
  y: number,
  width: number,
): Block {
  const beside = subject.synthetic && headingWidth(title, subject) <= width
  const parts: string[] = []
  let at = y
  if (subject.synthetic && beside) parts.push(drawBadge(x + width - badgeWidth, at, theme))
  for (const line of wrapText(title, width, 17, { face: 'bold' })) {
    parts.push(textAt(x, at + 17, line, { size: 17, face: 'bold' }))
    at += 24
  }
  if (subject.synthetic && !beside) {
    parts.push(drawBadge(x, at + 2, theme))
    at += 30
  }
  return { svg: parts.join('\n'), height: at - y }
}

/** The kind's mark in a box of `size` pixels. */
export function drawMark(kind: AttentionKind, theme: Theme, x: number, y: number, size: number): string {
  const { colour, mark } = kindStyles[kind]
  return `<path transform="translate(${short(x)} ${short(y)}) scale(${short(size / 16)})" fill="${colour[theme]}" d="${mark.path}"/>`
}

/** In ink and a frame, never in a colour that means something else. */
function drawBadge(x: number, y: number, theme: Theme): string {
  const { ink } = grounds[theme]
  return `<rect x="${short(x + 0.5)}" y="${short(y + 0.5)}" width="${short(badgeWidth - 1)}" height="21" rx="4" fill="none" stroke="${ink}" stroke-width="1.5"/>\n${textAt(x + badgeWidth / 2, y + 15.5, badge, { face: 'bold', anchor: 'middle' })}`
}
