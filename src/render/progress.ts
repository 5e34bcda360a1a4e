import { visibleWidth } from './style.ts'

const eighths = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉']

/** A bar of `width` columns, filled to `fraction` of them in steps of an eighth of a column. */
export function bar(fraction: number, width: number): string {
  const filled = Math.round(Math.min(1, Math.max(0, fraction)) * width * 8)
  const whole = Math.floor(filled / 8)
  return '█'.repeat(whole) + (eighths[filled % 8] ?? '')
}

/** How far work has come. */
export interface ProgressState {
  fraction: number
  message: string
  elapsedMs: number
  /** share of the work done in a second of late; absent while too little is done to say */
  perSecond?: number | undefined
}

/**
 * One line of progress that fits `width` columns: bar, percentage, seconds since the start, where they are known the rate
 * and the time left at that rate, and as much of the message as there is room for.
 */
export function progressLine(
  state: ProgressState,
  width: number,
  paintBar: (text: string) => string = (text) => text,
): string {
  const fraction = Math.min(1, Math.max(0, state.fraction))
  const barWidth = Math.max(8, Math.min(20, Math.floor(width / 4)))
  const filled = bar(fraction, barWidth)
  const rest = '░'.repeat(barWidth - visibleWidth(filled))
  const percent = `${Math.floor(fraction * 100)}`.padStart(3)
  const seconds = duration(state.elapsedMs / 1000).padStart(5)
  const ahead = width < 60 ? '' : expectation(fraction, state.perSecond)
  const tail = ` ${percent} % ${seconds}  ${ahead}`
  const room = width - barWidth - visibleWidth(tail)
  const message =
    [...state.message].length > room ? `${[...state.message].slice(0, Math.max(0, room - 1)).join('')}…` : state.message
  return `${paintBar(filled)}${rest}${tail}${message}`.trimEnd()
}

/** `1.2 %/s, 40 s left  `; nothing before the first and after the last. */
function expectation(fraction: number, perSecond: number | undefined): string {
  if (perSecond === undefined || perSecond <= 0 || fraction >= 1) return ''
  const percents = perSecond * 100
  const rate = percents >= 0.95 ? `${percents.toPrecision(2)} %/s` : `${(percents * 60).toPrecision(2)} %/min`
  return `${rate}, ${duration((1 - fraction) / perSecond)} left  `
}

function duration(seconds: number): string {
  if (seconds < 100) return `${Math.round(seconds)} s`
  const minutes = seconds / 60
  return minutes < 100 ? `${Math.round(minutes)} min` : `${Math.round(minutes / 60)} h`
}
