import { type AxisLabel, acrossAxisHeight, type ChartFrame, drawFrame, uprightAxisWidth } from './chart-frame.ts'
import { drawTitle } from './heading.ts'
import type { AttentionKind } from './kind-style.ts'
import { type ChartLine, drawLine, type LineMark } from './line-chart-line.ts'
import { drawLineLabels, layLineLabels } from './line-labels.ts'
import { svgDocument, textAt } from './svg.ts'
import { wrapText } from './text.ts'
import { grounds, type Theme } from './theme.ts'
import { axisUnit, formatTick, type Ticks, ticksForValues, ticksFromZero } from './ticks.ts'
import { formatMilliseconds } from './units.ts'

export interface LineChartPicture {
  title: string
  notes?: readonly string[]
  synthetic: boolean
  /** title of the axis across */
  across: string
  /** whether the axis across names the points' own values alone, as for heads or threads */
  ownValues: boolean
  /** what a time is of, such as `time of one token` */
  upright: string
  lines: readonly ChartLine[]
  theme?: Theme
}

const [width, margin, leastHeight] = [880, 20, 330] as const

/**
 * Times against what a sweep varies: a line a subject or test, its medians under the kind's mark, a band for their
 * intervals, and thin and in ink the straight line fitted to them. Lines are named at their ends.
 * @returns an SVG document
 */
export function drawLineChart(picture: LineChartPicture): string {
  const { title, notes = [], synthetic, lines, theme = 'light' } = picture
  const heading = drawTitle(title, { synthetic }, theme, margin, margin, width - 2 * margin)
  const unit = axisUnit('ms', highest(lines))
  const ticks = uprightTicks(lines, unit.divisor)
  const marks = marksOf(lines)
  const labels = layLineLabels(lines.map(({ label, detail }, index) => ({ label, detail, ...marks[index] })))
  const subtitle = drawNotes(notes, theme, margin + heading.height)
  const top = margin + heading.height + subtitle.height + 14
  const bottom = top + Math.max(leastHeight, labels.height)
  const acrossTicks = ticksFromZero(Math.max(0, ...lines.flatMap(({ points }) => points.map(({ x }) => x))), 8)
  const { svg, frame } = drawFrame({
    theme,
    left: margin + uprightAxisWidth(ticks),
    right: width - margin - labels.width - 34,
    top,
    bottom,
    from: 0,
    to: farthest(lines, acrossTicks),
    acrossTitle: picture.across,
    acrossLabels: picture.ownValues ? ownLabels(lines) : tickLabels(acrossTicks, farthest(lines, acrossTicks)),
    ticks,
    uprightTitle: `${picture.upright}, ${unit.name}${ticks.from === 0 ? '' : ' (not from 0)'}`,
  })
  const scaled: ChartFrame = { ...frame, upright: (milliseconds) => frame.upright(milliseconds / unit.divisor) }
  const ends = lines.map(({ points }) => {
    const last = points.at(-1)
    return { x: last === undefined ? frame.left : frame.across(last.x), y: last ? scaled.upright(last.median) : bottom }
  })
  return svgDocument({
    width,
    height: bottom + acrossAxisHeight + margin - 6,
    theme,
    title,
    description: [...(synthetic ? ['Synthetic weights'] : []), ...notes, ...lines.map(describeLine)].join('. '),
    parts: [
      heading.svg,
      subtitle.svg,
      svg,
      ...lines.map((line, index) => drawLine(line, marks[index] ?? { kind: null, hollow: false }, scaled, theme)),
      drawLineLabels(labels, ends, frame, theme),
    ],
  })
}

function drawNotes(notes: readonly string[], theme: Theme, y: number) {
  const lines = notes.flatMap((note) => wrapText(note, width - 2 * margin, 12))
  const svg = lines.map((line, index) => textAt(margin, y + 14 + 17 * index, line, { fill: grounds[theme].quiet }))
  return { svg: svg.join('\n'), height: 17 * lines.length }
}

/** Values that are drawn: samples only where they have no interval. */
function drawnValues({ points, fit }: ChartLine): number[] {
  const atZero = fit !== null && !fit.reciprocal ? [Math.max(0, fit.fixed)] : []
  return [
    ...points.flatMap(({ median, interval, samples }) => [
      median,
      ...(interval === null ? samples : [interval.low, interval.high]),
    ]),
    ...(points.length > 0 ? atZero : []),
  ]
}

function highest(lines: readonly ChartLine[]): number {
  return Math.max(0, ...lines.flatMap(drawnValues))
}

function uprightTicks(lines: readonly ChartLine[], divisor: number): Ticks {
  const values = lines.flatMap(drawnValues)
  return ticksForValues(Math.min(...values) / divisor, Math.max(0, ...values) / divisor, 6)
}

/** The axis across ends a little beyond the last point, or at the next tick where that is near. */
function farthest(lines: readonly ChartLine[], ticks: Ticks): number {
  const last = Math.max(0, ...lines.flatMap(({ points }) => points.map(({ x }) => x)))
  return last === 0 ? 1 : Math.min(ticks.to, last * 1.03)
}

function tickLabels({ at, step }: Ticks, to: number): AxisLabel[] {
  return at.filter((value) => value <= to).map((value) => ({ value, label: formatTick(value, step) }))
}

function ownLabels(lines: readonly ChartLine[]): AxisLabel[] {
  const values = new Set(lines.flatMap(({ points }) => points.map(({ x }) => x)))
  return [...values].sort((a, b) => a - b).map((value) => ({ value, label: String(value) }))
}

function marksOf(lines: readonly ChartLine[]): LineMark[] {
  const seen = new Map<AttentionKind | null, number>()
  return lines.map(({ points }) => {
    const kinds = new Set(points.map(({ kind }) => kind))
    const kind = kinds.size === 1 ? (points[0]?.kind ?? null) : null
    const before = seen.get(kind) ?? 0
    seen.set(kind, before + 1)
    return { kind, hollow: before % 2 === 1 }
  })
}

function describeLine({ label, detail, points }: ChartLine): string {
  const values = points.map(({ x, median }) => `${x}: ${formatMilliseconds(median)}`).join(', ')
  return `${label}${detail === null ? '' : ` (${detail})`} at ${values}`
}
