import type { ChartFrame } from './chart-frame.ts'
import { drawPoint, type LineMark } from './line-chart-line.ts'
import { spreadLabels } from './spread-labels.ts'
import { short, textAt } from './svg.ts'
import { textWidth, wrapText } from './text.ts'
import { grounds, type Theme } from './theme.ts'

const mostWidth = 250
const [size, lineHeight, gap, markRoom] = [12, 15, 7, 18] as const

/** A label in the lines that it takes. */
interface LaidLabel extends Partial<LineMark> {
  lines: { text: string; quiet: boolean }[]
  height: number
}

export interface LaidLabels {
  labels: LaidLabel[]
  /** pixels that the widest takes, its mark included */
  width: number
  /** of all, one below the other */
  height: number
}

/** Breaks labels into lines: a name takes two at most. */
export function layLineLabels(
  labels: readonly ({ label: string; detail: string | null } & Partial<LineMark>)[],
): LaidLabels {
  const laid = labels.map(({ label, detail, ...mark }) => {
    const lines = [
      ...wrapText(label, mostWidth, size, { mostLines: 2 }).map((text) => ({ text, quiet: false })),
      ...(detail === null ? [] : wrapText(detail, mostWidth, size - 1, { mostLines: 2 })).map((text) => ({
        text,
        quiet: true,
      })),
    ]
    return { ...mark, lines, height: lines.length * lineHeight + gap }
  })
  const widths = laid.flatMap(({ lines }) => lines.map(({ text, quiet }) => textWidth(text, quiet ? size - 1 : size)))
  return {
    labels: laid,
    width: Math.max(0, ...widths) + markRoom,
    height: laid.reduce((sum, { height }) => sum + height, 0),
  }
}

/** Labels right of the chart, each as near to the end of its line as the others let it, with a hairline from there. */
export function drawLineLabels(
  { labels }: LaidLabels,
  ends: readonly { x: number; y: number }[],
  frame: ChartFrame,
  theme: Theme,
): string {
  const { quiet, edge } = grounds[theme]
  const left = frame.right + 26
  // The first line of a label wants to stand level with the end of its own.
  const wanted = labels.map(({ height }, index) => ({
    wanted: (ends[index]?.y ?? frame.top) + (height - gap - lineHeight) / 2,
    height,
  }))
  const middles = spreadLabels(wanted, frame.top - gap, frame.bottom + gap)
  const parts: string[] = []
  for (const [index, { lines, height, kind, hollow = false }] of labels.entries()) {
    const [middle = frame.top, end] = [middles[index], ends[index]]
    const first = middle - (height - gap) / 2
    if (end !== undefined) {
      const path = `M${short(end.x + 8)} ${short(end.y)}L${short(left - 8)} ${short(first + lineHeight / 2)}h4`
      parts.push(`<path fill="none" stroke="${edge}" stroke-width="0.7" d="${path}"/>`)
    }
    if (kind) parts.push(drawPoint(kind, hollow, theme, left + 6, first + lineHeight / 2, 12))
    for (const [line, { text, quiet: faint }] of lines.entries()) {
      const y = first + line * lineHeight + 11.5
      parts.push(textAt(left + markRoom, y, text, faint ? { size: size - 1, fill: quiet } : { size }))
    }
  }
  return parts.join('\n')
}
