import { toHex } from './colour-space.ts'
import type { Block } from './heading.ts'
import type { Shading } from './shading.ts'
import { maskId, short, textAt } from './svg.ts'
import { textWidth, wrapText } from './text.ts'
import { grounds, type Theme } from './theme.ts'

const barWidth = 340
const barHeight = 14
/** Room of the bar with the halves of its outer labels. */
export const colourBarWidth = barWidth + 40

/** The scale of a picture: its ramp with numbers, what a hatched cell means, and notes. */
export function drawColourBar(bar: {
  shading: Shading
  theme: Theme
  x: number
  y: number
  width: number
  /** what hatching stands for; null where nothing is hatched */
  masked: string | null
  notes?: readonly string[]
}): Block {
  const { shading, theme, y } = bar
  const x = Math.ceil(bar.x + textWidth(shading.ticks[0]?.label ?? '', 11) / 2)
  const { quiet, edge } = grounds[theme]
  const parts = wrapText(shading.caption, bar.width, 12).map((line, index) => textAt(bar.x, y + 13 + 16 * index, line))
  const top = y + 4 + 16 * parts.length
  const steps = shading.ramp.length
  // As many stripes as pixels need: each is exactly the colour of its value.
  const stripes = barWidth / 4
  for (let stripe = 0; stripe < stripes; stripe++) {
    const step = Math.round((stripe / (stripes - 1)) * (steps - 1))
    parts.push(
      `<path fill="${toHex(shading.ramp[step] ?? [0, 0, 0])}" shape-rendering="crispEdges" d="M${x + stripe * 4} ${top}h4v${barHeight}h-4z"/>`,
    )
  }
  parts.push(
    `<rect x="${x}" y="${top}" width="${barWidth}" height="${barHeight}" fill="none" stroke="${edge}"/>`,
    drawTicks(shading, x, top + barHeight, edge),
  )
  let at = top + barHeight + 24
  if (bar.masked !== null) {
    const beside = colourBarWidth + 24 + 22 + textWidth(bar.masked, 12) <= bar.width
    const left = beside ? bar.x + colourBarWidth + 24 : x
    const upper = beside ? top : at + 4
    const box = `x="${short(left)}" y="${short(upper)}" width="14" height="14"`
    parts.push(
      `<rect ${box} fill="url(#${maskId(theme)})" stroke="${edge}"/>`,
      textAt(left + 22, upper + 11.5, bar.masked),
    )
    if (!beside) at += 24
  }
  for (const note of [...shading.notes, ...(bar.notes ?? [])]) {
    for (const line of wrapText(note, bar.width, 12)) {
      parts.push(textAt(bar.x, at + 14, line, { fill: quiet }))
      at += 17
    }
  }
  return { svg: parts.join('\n'), height: at - y + 4 }
}

/** A label that would touch the one before is left out; the last is always there. */
function drawTicks({ ticks }: Shading, x: number, y: number, edge: string): string {
  const parts: string[] = []
  const last = ticks.at(-1)
  const half = (label: string) => textWidth(label, 11) / 2 + 3
  const lastStart = last === undefined ? Number.POSITIVE_INFINITY : x + last.at * barWidth - half(last.label)
  let end = Number.NEGATIVE_INFINITY
  for (const tick of ticks) {
    const at = x + tick.at * barWidth
    const free = at - half(tick.label) >= end && (tick === last || at + half(tick.label) <= lastStart)
    parts.push(`<path stroke="${edge}" d="M${short(at)} ${y}v4"/>`)
    if (!free && tick !== last) continue
    parts.push(textAt(at, y + 15, tick.label, { size: 11, anchor: 'middle' }))
    end = at + half(tick.label)
  }
  return parts.join('\n')
}
