import { type AxisLabel, acrossAxisHeight, type ChartFrame, drawFrame, uprightAxisWidth } from './chart-frame.ts'
import { drawTitle } from './heading.ts'
import { type AttentionKind, kindStyles } from './kind-style.ts'
import { short, svgDocument, textAt } from './svg.ts'
import { textWidth, wrapText } from './text.ts'
import { grounds, type Theme } from './theme.ts'
import { axisUnit, type ChartUnit, ticksForValues } from './ticks.ts'
import { formatRatio } from './units.ts'

/** What one run measured, in the unit of the picture. */
export interface TrendChartPoint {
  /** ISO 8601 */
  at: string
  value: number
  interval: { low: number; high: number } | null
}

/** A change of level. */
export interface TrendChartChange {
  /** of the first point of the new level */
  index: number
  /** level after / before */
  ratio: number
  interval: { low: number; high: number } | null
}

export interface TrendChartPicture {
  title: string
  notes?: readonly string[]
  synthetic: boolean
  /** of the subject; null where it is not known */
  kind: AttentionKind | null
  /** what a value is of, such as `time of a trial` */
  upright: string
  unit: ChartUnit
  /** oldest first */
  points: readonly TrendChartPoint[]
  /** oldest first */
  changes: readonly TrendChartChange[]
  /** levels between the changes: one more than there are changes; empty without points */
  levels: readonly number[]
  theme?: Theme
}

const [width, margin, plotHeight, rowHeight] = [880, 20, 300, 16] as const

/**
 * A series over its runs: a point a run in the order of time, each as far from the next as any other, so that ten runs of
 * one hour can be read beside one a week; the dates stand below. Whiskers are the intervals of the medians, steps the
 * levels between changes, and each change is named by its ratio.
 * @returns an SVG document
 */
export function drawTrendChart(picture: TrendChartPicture): string {
  const { title, notes = [], synthetic, points, changes, theme = 'light' } = picture
  const heading = drawTitle(title, { synthetic }, theme, margin, margin, width - 2 * margin)
  const lines = notes.flatMap((note) => wrapText(note, width - 2 * margin, 12))
  const noteSvg = lines.map((line, index) =>
    textAt(margin, margin + heading.height + 14 + 17 * index, line, { fill: grounds[theme].quiet }),
  )
  const values = points.flatMap(({ value, interval }) => [value, interval?.low ?? value, interval?.high ?? value])
  const highest = Math.max(0, ...values)
  const unit = axisUnit(picture.unit, highest)
  const ticks = ticksForValues(Math.min(...values) / unit.divisor, highest / unit.divisor, 6)
  const left = margin + uprightAxisWidth(ticks)
  const right = width - margin - 10
  const across = (index: number) => left + ((index + 0.5) / Math.max(1, points.length)) * (right - left)
  const labels = placeChanges(changes, across, left, right)
  const rows = Math.max(0, ...labels.map(({ row }) => row + 1))
  const top = margin + heading.height + 17 * lines.length + 14 + rows * rowHeight
  const bottom = top + plotHeight
  const { svg, frame } = drawFrame({
    theme,
    left,
    right,
    top,
    bottom,
    from: -0.5,
    to: Math.max(1, points.length) - 0.5,
    acrossTitle: 'runs in the order of time, by the date (UTC) when each was queued',
    acrossLabels: dateLabels(points),
    ticks,
    uprightTitle: `${picture.upright}, ${unit.name}${ticks.from === 0 ? '' : ' (not from 0)'}`,
  })
  const scaled: ChartFrame = { ...frame, upright: (value) => frame.upright(value / unit.divisor) }
  return svgDocument({
    width,
    height: bottom + acrossAxisHeight + margin - 6,
    theme,
    title,
    description: [...(synthetic ? ['Synthetic weights'] : []), ...notes, describe(picture)].join('. '),
    parts: [
      heading.svg,
      ...noteSvg,
      svg,
      points.length > 0 ? '' : drawNothing(frame, theme),
      drawPoints(picture, scaled, theme),
      drawLevels(picture, scaled, theme),
      ...labels.map((label) => drawChange(label, scaled, theme)),
    ],
  })
}

/** Days, or within one day times; of many points those that fit are drawn. */
function dateLabels(points: readonly TrendChartPoint[]): AxisLabel[] {
  const days = new Set(points.map(({ at }) => at.slice(0, 10)))
  const labels = points.map(({ at }) => (days.size > 1 ? at.slice(0, 10) : `${at.slice(0, 10)} ${at.slice(11, 16)}`))
  // The first point of each day, so that a day is named once.
  return labels.flatMap((label, value) => (value > 0 && labels[value - 1] === label ? [] : [{ value, label }]))
}

function drawPoints({ points, kind }: TrendChartPicture, frame: ChartFrame, theme: Theme): string {
  const { quiet } = grounds[theme]
  const colour = kind === null ? quiet : kindStyles[kind].colour[theme]
  const pitch = (frame.right - frame.left) / Math.max(1, points.length)
  const radius = Math.max(1.2, Math.min(4, pitch * 0.35))
  const whiskers = points.flatMap(({ interval }, index) => {
    if (interval === null) return []
    return [
      `M${short(frame.across(index))} ${short(frame.upright(interval.low))}V${short(frame.upright(interval.high))}`,
    ]
  })
  return [
    whiskers.length === 0
      ? ''
      : `<path fill="none" stroke="${colour}" stroke-width="${short(Math.max(0.5, radius * 0.4))}" stroke-opacity="0.55" d="${whiskers.join('')}"/>`,
    ...points.map(({ value }, index) => {
      const [x, y] = [short(frame.across(index)), short(frame.upright(value))]
      return `<circle cx="${x}" cy="${y}" r="${short(radius)}" fill="${colour}"/>`
    }),
  ]
    .filter((part) => part !== '')
    .join('\n')
}

function drawNothing({ left, right, top, bottom }: ChartFrame, theme: Theme): string {
  const place = [(left + right) / 2, (top + bottom) / 2] as const
  return textAt(...place, 'No run has measured it.', { anchor: 'middle', fill: grounds[theme].quiet })
}

/** One line of steps: each level from the middle before its first point to that after its last. */
function drawLevels({ points, changes, levels }: TrendChartPicture, frame: ChartFrame, theme: Theme): string {
  if (points.length === 0 || levels.length === 0) return ''
  const starts = [0, ...changes.map(({ index }) => index)]
  const path = levels.map((level, place) => {
    const [from = 0, to = points.length] = [starts[place], starts[place + 1]]
    const y = short(frame.upright(level))
    return `${place === 0 ? 'M' : 'L'}${short(frame.across(from - 0.5))} ${y}H${short(frame.across(to - 0.5))}`
  })
  return `<path fill="none" stroke="${grounds[theme].ink}" stroke-width="1.6" d="${path.join('')}"/>`
}

interface PlacedChange {
  index: number
  text: string
  x: number
  /** rows above the chart, from 0, the lowest */
  row: number
}

/** Labels of changes above the chart, in as many rows as keeps them apart. */
function placeChanges(
  changes: readonly TrendChartChange[],
  across: (index: number) => number,
  left: number,
  right: number,
): PlacedChange[] {
  const ends: number[] = []
  return changes.map(({ index, ratio, interval }) => {
    const text = `x ${formatRatio(ratio, interval)}`
    const half = textWidth(text, 11) / 2 + 6
    const x = Math.max(left + half, Math.min(right - half, across(index - 0.5)))
    const free = ends.findIndex((end) => x - half >= end)
    const row = free === -1 ? ends.length : free
    ends[row] = x + half
    return { index, text, x, row }
  })
}

function drawChange({ index, text, x, row }: PlacedChange, frame: ChartFrame, theme: Theme): string {
  const { edge } = grounds[theme]
  const at = short(frame.across(index - 0.5))
  const y = frame.top - 6 - row * rowHeight
  return [
    `<path stroke="${edge}" stroke-dasharray="2 3" d="M${at} ${short(y + 3)}V${short(frame.bottom)}"/>`,
    textAt(x, y, text, { size: 11, anchor: 'middle' }),
  ].join('\n')
}

function describe({ points, changes, unit }: TrendChartPicture): string {
  const [first, last] = [points[0], points.at(-1)]
  if (first === undefined || last === undefined) return 'No run has measured it'
  const told = changes.map(({ index, ratio }) => `x ${ratio.toFixed(3)} since ${points[index]?.at}`)
  return [
    `${points.length} runs from ${first.at} (${first.value.toPrecision(4)} ${unit}) to ${last.at} (${last.value.toPrecision(4)} ${unit})`,
    ...told,
  ].join('; ')
}
