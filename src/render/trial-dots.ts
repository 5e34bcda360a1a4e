import { drawMark } from './heading.ts'
import { type AttentionKind, kindStyles } from './kind-style.ts'
import { short, svgDocument, textAt } from './svg.ts'
import { fitText } from './text.ts'
import { grounds, type Theme } from './theme.ts'
import { tickStep } from './ticks.ts'
import { formatMilliseconds } from './units.ts'

/** The trials of one subject. */
export interface TrialRow {
  label: string
  kind: AttentionKind
  /** milliseconds, in the order in which they were taken */
  samples: readonly number[]
  median: number
  /** of the median; null where there are too few trials */
  interval: { low: number; high: number } | null
}

export interface TrialsPicture {
  title: string
  rows: readonly TrialRow[]
  theme?: Theme
}

const [width, margin, labelWidth, rowHeight, headHeight] = [720, 16, 170, 46, 40]

/**
 * Every trial of one test as a dot, subject below subject on one axis from 0: the first trial of a subject stands highest,
 * so that a drift shows as a slope. The line is the median, the band its interval.
 * @returns an SVG document
 */
export function drawTrials({ title, rows, theme = 'light' }: TrialsPicture): string {
  const { line, quiet, ink } = grounds[theme]
  const left = margin + labelWidth
  const room = width - left - margin - 24
  const longest = Math.max(0, ...rows.flatMap(({ samples, interval }) => [...samples, interval?.high ?? 0]))
  const step = tickStep(longest / 6)
  const end = Math.max(step, Math.ceil(longest / step) * step)
  const at = (milliseconds: number) => left + (milliseconds / end) * room
  const bottom = headHeight + rows.length * rowHeight
  const parts = [textAt(margin, 24, title, { size: 14, face: 'bold' })]
  for (let tick = 0; tick <= end + step / 2; tick += step) {
    const x = short(at(tick))
    parts.push(
      `<path d="M${x} ${headHeight}V${bottom}" stroke="${line}"/>`,
      textAt(at(tick), bottom + 16, tick === 0 ? '0' : formatMilliseconds(tick), {
        size: 11,
        anchor: 'middle',
        fill: quiet,
      }),
    )
  }
  for (const [index, row] of rows.entries()) {
    const top = headHeight + index * rowHeight
    const colour = kindStyles[row.kind].colour[theme]
    parts.push(
      drawMark(row.kind, theme, margin, top + rowHeight / 2 - 7, 14),
      textAt(margin + 20, top + rowHeight / 2 + 4, fitText(row.label, labelWidth - 28, 12)),
    )
    if (row.interval !== null) {
      const [low, high] = [at(row.interval.low), at(row.interval.high)]
      parts.push(
        `<rect x="${short(low)}" y="${top + 4}" width="${short(Math.max(1, high - low))}" height="${rowHeight - 8}" fill="${colour}" fill-opacity="0.18"/>`,
      )
    }
    parts.push(
      `<path d="M${short(at(row.median))} ${top + 4}V${top + rowHeight - 4}" stroke="${ink}" stroke-width="1.5"/>`,
    )
    for (const [trial, milliseconds] of row.samples.entries()) {
      const y = top + 8 + ((trial + 0.5) / row.samples.length) * (rowHeight - 16)
      parts.push(
        `<circle cx="${short(at(milliseconds))}" cy="${short(y)}" r="2.5" fill="${colour}" fill-opacity="0.8"/>`,
      )
    }
  }
  return svgDocument({
    width,
    height: bottom + 26,
    theme,
    title,
    description: rows
      .map(({ label, samples, median }) => `${label}: median ${formatMilliseconds(median)} of ${samples.length} trials`)
      .join('. '),
    parts,
  })
}
