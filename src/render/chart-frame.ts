import { short, textAt } from './svg.ts'
import { textWidth } from './text.ts'
import { grounds, type Theme } from './theme.ts'
import { formatTick, type Ticks } from './ticks.ts'

const labelSize = 11

/** A label on an axis, at a value of it. */
export interface AxisLabel {
  value: number
  label: string
}

/** Where the values of a chart stand in its picture. */
export interface ChartFrame {
  left: number
  right: number
  top: number
  bottom: number
  /** pixel of a value on the axis across */
  across(value: number): number
  /** pixel of a value, in the unit of the upright axis */
  upright(value: number): number
}

export interface FrameOptions {
  theme: Theme
  left: number
  right: number
  top: number
  bottom: number
  /** ends of the axis across */
  from: number
  to: number
  acrossTitle: string
  acrossLabels: readonly AxisLabel[]
  ticks: Ticks
  uprightTitle: string
}

/** Room that the upright axis takes left of the chart. */
export function uprightAxisWidth(ticks: Ticks): number {
  return Math.max(...ticks.at.map((tick) => textWidth(formatTick(tick, ticks.step), labelSize))) + 34
}

/** Room that the axis across takes below the chart. */
export const acrossAxisHeight = 42

/** Lines of the upright axis' ticks, both axes with their labels and titles, and where values stand between them. */
export function drawFrame(options: FrameOptions): { svg: string; frame: ChartFrame } {
  const { theme, left, right, top, bottom, from, to, ticks } = options
  const { line, edge, quiet } = grounds[theme]
  const span = to > from ? to - from : 1
  const height = ticks.to > ticks.from ? ticks.to - ticks.from : 1
  const frame: ChartFrame = {
    left,
    right,
    top,
    bottom,
    across: (value) => left + ((value - from) / span) * (right - left),
    upright: (value) => bottom - ((value - ticks.from) / height) * (bottom - top),
  }
  const parts: string[] = []
  for (const tick of ticks.at) {
    const y = frame.upright(tick)
    if (tick !== ticks.from) parts.push(`<path stroke="${line}" d="M${short(left)} ${short(y)}H${short(right)}"/>`)
    parts.push(textAt(left - 8, y + 4, formatTick(tick, ticks.step), { size: labelSize, anchor: 'end', fill: quiet }))
  }
  parts.push(drawBaseline(frame, ticks.from !== 0, edge), drawAcross(options, frame))
  const middle = (top + bottom) / 2
  parts.push(
    textAt(left - uprightAxisWidth(ticks) + 12, middle, options.uprightTitle, {
      anchor: 'middle',
      fill: quiet,
      upwards: true,
    }),
  )
  return { svg: parts.join('\n'), frame }
}

/** The lower line; where the upright axis does not begin at 0 it is broken, so that nobody reads lengths from it. */
function drawBaseline({ left, right, top, bottom }: ChartFrame, broken: boolean, edge: string): string {
  const upright = broken
    ? `M${short(left)} ${short(top)}V${short(bottom - 18)}l-4 3l8 4l-8 4l4 3V${short(bottom)}`
    : `M${short(left)} ${short(top)}V${short(bottom)}`
  return `<path fill="none" stroke="${edge}" d="${upright}H${short(right)}"/>`
}

/** A label that would touch the one before is left out; the last is always there. */
function drawAcross({ theme, acrossLabels, acrossTitle }: FrameOptions, frame: ChartFrame): string {
  const { edge, quiet } = grounds[theme]
  const half = ({ label }: AxisLabel) => textWidth(label, labelSize) / 2 + 4
  const last = acrossLabels.at(-1)
  const lastStart = last === undefined ? Number.POSITIVE_INFINITY : frame.across(last.value) - half(last)
  const parts: string[] = []
  let end = Number.NEGATIVE_INFINITY
  for (const one of acrossLabels) {
    const x = frame.across(one.value)
    parts.push(`<path stroke="${edge}" d="M${short(x)} ${short(frame.bottom)}v4"/>`)
    const free = x - half(one) >= end && x + half(one) <= lastStart
    if (!free && one !== last) continue
    parts.push(textAt(x, frame.bottom + 17, one.label, { size: labelSize, anchor: 'middle', fill: quiet }))
    end = x + half(one)
  }
  const middle = (frame.left + frame.right) / 2
  parts.push(textAt(middle, frame.bottom + 36, acrossTitle, { anchor: 'middle', fill: quiet }))
  return parts.join('\n')
}
