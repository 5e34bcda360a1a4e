import { drawMark } from './heading.ts'
import { type AttentionKind, kindStyles } from './kind-style.ts'
import { short, textAt } from './svg.ts'
import { fitText, textWidth } from './text.ts'
import type { Theme } from './theme.ts'

/** Room of a bracket with its label. */
export const bracketHeight = 30

const stroke = (kind: AttentionKind, theme: Theme): string => {
  const { colour, dash } = kindStyles[kind]
  return `fill="none" stroke="${colour[theme]}" stroke-width="2"${dash === '' ? '' : ` stroke-dasharray="${dash}"`}`
}

/** The first text that fits the width; the last one is cut where none does. */
export function pickFitting(texts: readonly string[], width: number, size: number): string {
  return texts.find((text) => textWidth(text, size) <= width) ?? fitText(texts.at(-1) ?? '', width, size)
}

/** For several labels side by side the first form that fits for all of them, so that they read alike. */
export function pickFittingForms(forms: readonly (readonly string[])[], width: number, size: number): string[] {
  const longest = Math.max(0, ...forms.map((texts) => texts.length))
  let form = 0
  while (form < longest - 1 && forms.some((texts) => textWidth(texts[form] ?? '', size) > width)) form += 1
  return forms.map((texts) => fitText(texts[form] ?? texts.at(-1) ?? '', width, size))
}

/**
 * The bracket over the heads that read one K/V head: mark and label, below them a line with its ends turned down.
 * @param labels from the longest to the shortest; the first that fits is taken
 */
export function drawBracket(bracket: {
  kind: AttentionKind
  theme: Theme
  x: number
  y: number
  width: number
  labels: readonly string[]
}): string {
  const { kind, theme, x, y, width } = bracket
  const label = pickFitting(bracket.labels, width - 16, 12)
  const left = x + width / 2 - (textWidth(label, 12) + 16) / 2
  const [from, to, top] = [x + 1, x + width - 1, y + 21]
  return [
    drawMark(kind, theme, left, y + 3, 12),
    textAt(left + 16, y + 13.5, label),
    `<path ${stroke(kind, theme)} d="M${short(from)} ${short(top + 7)}V${short(top + 4)}Q${short(from)} ${short(top)} ${short(from + 4)} ${short(top)}H${short(to - 4)}Q${short(to)} ${short(top)} ${short(to)} ${short(top + 4)}V${short(top + 7)}"/>`,
  ].join('\n')
}

/** Joins the brackets of a group that fills several rows: one line down their left, with a branch to each. */
export function drawSpine(
  kind: AttentionKind,
  theme: Theme,
  x: number,
  brackets: readonly { x: number; y: number }[],
): string {
  const [first, last] = [brackets[0], brackets.at(-1)]
  if (first === undefined || last === undefined || first === last) return ''
  const branches = brackets.map(({ x: to, y }) => `M${short(x)} ${short(y + 21)}H${short(to + 4)}`).join('')
  return `<path ${stroke(kind, theme)} d="M${short(x)} ${short(first.y + 21)}V${short(last.y + 21)}${branches}"/>`
}

/** Side of a chip: the sign of one query head. */
export const chip = { width: 22, height: 18 }

/**
 * Query heads as numbered chips, under them a bracket whose stem leads down to what they all read.
 * @returns room that it took is `chipsHeight(heads, perRow)`
 */
export function drawReaders(readers: {
  kind: AttentionKind
  theme: Theme
  centre: number
  y: number
  heads: readonly number[]
  perRow: number
  fill: string
}): string {
  const { kind, theme, centre, y, heads, perRow } = readers
  const rows = Math.ceil(heads.length / perRow)
  const widest = Math.min(perRow, heads.length) * chip.width
  const parts = heads.map((head, index) => {
    const row = Math.floor(index / perRow)
    const inRow = Math.min(perRow, heads.length - row * perRow)
    const left = centre - (inRow * chip.width) / 2 + (index % perRow) * chip.width
    const top = y + row * (chip.height + 2)
    return [
      `<rect x="${short(left + 1)}" y="${short(top)}" width="${chip.width - 2}" height="${chip.height}" rx="4" fill="${readers.fill}"/>`,
      textAt(left + chip.width / 2, top + 13, String(head), { size: 11, face: 'mono', anchor: 'middle' }),
    ].join('\n')
  })
  const [from, to, top] = [centre - widest / 2 + 1, centre + widest / 2 - 1, y + rows * (chip.height + 2) + 1]
  parts.push(
    `<path ${stroke(kind, theme)} d="M${short(from)} ${short(top)}V${short(top + 3)}Q${short(from)} ${short(top + 7)} ${short(from + 4)} ${short(top + 7)}H${short(to - 4)}Q${short(to)} ${short(top + 7)} ${short(to)} ${short(top + 3)}V${short(top)}"/>`,
    `<path stroke="${kindStyles[kind].colour[theme]}" stroke-width="2" d="M${short(centre)} ${short(top + 6)}V${short(top + 17)}"/>`,
  )
  return parts.join('\n')
}

export function readersHeight(heads: number, perRow: number): number {
  return Math.ceil(heads / perRow) * (chip.height + 2) + 18
}
