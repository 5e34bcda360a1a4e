import { visibleWidth } from './style.ts'

const eighths = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉']

/** A bar of `width` columns, filled to `fraction` of them in steps of an eighth of a column. */
export function bar(fraction: number, width: number): string {
  const filled = Math.round(Math.min(1, Math.max(0, fraction)) * width * 8)
  const whole = Math.floor(filled / 8)
  return '█'.repeat(whole) + (eighths[filled % 8] ?? '')
}

/**
 * One line of progress that fits `width` columns: bar, percentage, seconds since the start, and as much of the message
 * as there is room for.
 */
export function progressLine(
  state: { fraction: number; message: string; elapsedMs: number },
  width: number,
  paintBar: (text: string) => string = (text) => text,
): string {
  const barWidth = Math.max(8, Math.min(30, Math.floor(width / 3)))
  const filled = bar(state.fraction, barWidth)
  const rest = '░'.repeat(barWidth - visibleWidth(filled))
  const percent = `${Math.floor(Math.min(1, Math.max(0, state.fraction)) * 100)}`.padStart(3)
  const seconds = `${Math.round(state.elapsedMs / 1000)} s`.padStart(5)
  const head = `${filled}${rest} ${percent} % ${seconds}  `
  const room = width - visibleWidth(head)
  const message =
    [...state.message].length > room ? `${[...state.message].slice(0, Math.max(0, room - 1)).join('')}…` : state.message
  return `${paintBar(filled)}${rest} ${percent} % ${seconds}  ${message}`.trimEnd()
}
