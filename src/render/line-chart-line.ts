import type { ChartFrame } from './chart-frame.ts'
import { type AttentionKind, kindStyles } from './kind-style.ts'
import { short } from './svg.ts'
import { grounds, type Theme } from './theme.ts'

/** What was measured at one value of the axis, in milliseconds. */
export interface ChartPoint {
  x: number
  median: number
  /** of the median; null where there are too few samples, which are then drawn themselves */
  interval: { low: number; high: number } | null
  samples: readonly number[]
  kind: AttentionKind
}

export interface ChartLine {
  label: string
  /** a second line of the label, such as what one unit of the axis adds */
  detail: string | null
  /** by rising x; points of different kinds make a line in ink with their own marks */
  points: readonly ChartPoint[]
  /** milliseconds = fixed + slope x, or slope / x where the axis' reciprocal was fitted; null: no straight line is honest */
  fit: { fixed: number; slope: number; reciprocal: boolean } | null
}

/** How a line is marked: its kind, null where its points have several, and every other line of a kind hollow. */
export interface LineMark {
  kind: AttentionKind | null
  hollow: boolean
}

/** One line of a chart: band, line, fitted line, whiskers or samples, and marks on top. */
export function drawLine(line: ChartLine, mark: LineMark, frame: ChartFrame, theme: Theme): string {
  const { ink, quiet } = grounds[theme]
  const colour = mark.kind === null ? quiet : kindStyles[mark.kind].colour[theme]
  const dash = mark.kind === null ? '' : kindStyles[mark.kind].dash
  const path = line.points.map(({ x, median }) => at(frame, x, median)).join('L')
  const parts = [
    drawBand(line.points, colour, frame),
    drawFit(line, ink, frame),
    line.points.length < 2
      ? ''
      : `<path fill="none" stroke="${colour}" stroke-width="2"${dash === '' ? '' : ` stroke-dasharray="${dash}"`} d="M${path}"/>`,
    ...line.points.map((point) => drawSpread(point, frame, theme)),
    ...line.points.map(({ x, median, kind }) =>
      drawPoint(kind, mark.hollow, theme, frame.across(x), frame.upright(median), 12),
    ),
  ]
  return parts.filter((part) => part !== '').join('\n')
}

const at = (frame: ChartFrame, x: number, value: number) => `${short(frame.across(x))} ${short(frame.upright(value))}`

/** Between neighbours that both have an interval. */
function drawBand(points: readonly ChartPoint[], colour: string, frame: ChartFrame): string {
  const bands: ChartPoint[][] = [[]]
  for (const point of points) {
    if (point.interval === null) bands.push([])
    else bands.at(-1)?.push(point)
  }
  return bands
    .filter((band) => band.length > 1)
    .map((band) => {
      const upper = band.map(({ x, interval, median }) => at(frame, x, interval?.high ?? median))
      const lower = band.map(({ x, interval, median }) => at(frame, x, interval?.low ?? median)).reverse()
      return `<path fill="${colour}" fill-opacity="0.2" d="M${[...upper, ...lower].join('L')}z"/>`
    })
    .join('\n')
}

/** From 0, where the fixed cost stands, to the last point; of a reciprocal from the first point on. */
function drawFit({ fit, points }: ChartLine, ink: string, frame: ChartFrame): string {
  const [first, last] = [points[0], points.at(-1)]
  if (fit === null || first === undefined || last === undefined) return ''
  const steps = fit.reciprocal ? 48 : 1
  const path = Array.from({ length: steps + 1 }, (_, step) => {
    const share = step / steps
    if (!fit.reciprocal) return at(frame, last.x * share, fit.fixed + fit.slope * last.x * share)
    const x = first.x * (last.x / first.x) ** share
    return at(frame, x, fit.fixed + fit.slope / x)
  })
  return `<path fill="none" stroke="${ink}" stroke-width="0.8" stroke-opacity="0.7" d="M${path.join('L')}"/>`
}

/** The interval as a whisker, or every sample where there are too few for one. */
function drawSpread({ x, interval, samples, kind }: ChartPoint, frame: ChartFrame, theme: Theme): string {
  const colour = kindStyles[kind].colour[theme]
  const across = short(frame.across(x))
  if (interval !== null) {
    const [low, high] = [frame.upright(interval.low), frame.upright(interval.high)]
    return `<path stroke="${colour}" stroke-width="1.5" d="M${across} ${short(high)}V${short(low)}"/>`
  }
  return samples
    .map((sample) => `<circle cx="${across}" cy="${short(frame.upright(sample))}" r="2" fill="${colour}"/>`)
    .join('')
}

/** The kind's mark around a point; hollow, its ground shows through. */
export function drawPoint(
  kind: AttentionKind,
  hollow: boolean,
  theme: Theme,
  x: number,
  y: number,
  size: number,
): string {
  const { colour, mark } = kindStyles[kind]
  const place = `translate(${short(x - size / 2)} ${short(y - size / 2)}) scale(${short(size / 16)})`
  const { surface } = grounds[theme]
  const paint = hollow
    ? `fill="${surface}" stroke="${colour[theme]}" stroke-width="2.4"`
    : `fill="${colour[theme]}" stroke="${surface}" stroke-width="1"`
  return `<path transform="${place}" ${paint} d="${mark.path}"/>`
}
