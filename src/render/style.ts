/** Escape sequences for a terminal, or nothing at all: whoever writes asks for a style and need not know which. */
export interface Style {
  bold(text: string): string
  dim(text: string): string
  good(text: string): string
  bad(text: string): string
  accent(text: string): string
  warn(text: string): string
}

const paint =
  (open: number, close: number) =>
  (text: string): string =>
    text === '' ? '' : `\u001b[${open}m${text}\u001b[${close}m`
const plain = (text: string): string => text

/** Blue and orange rather than green and red where two things are set against each other: safe for colour-blind eyes. */
const coloured: Style = {
  bold: paint(1, 22),
  dim: paint(2, 22),
  good: paint(34, 39),
  bad: paint(33, 39),
  accent: paint(36, 39),
  warn: paint(33, 39),
}
const uncoloured: Style = { bold: plain, dim: plain, good: plain, bad: plain, accent: plain, warn: plain }

export function createStyle(colour: boolean): Style {
  return colour ? coloured : uncoloured
}

const escapes = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, 'g')

/** Text as it stands on the screen, without escape sequences. */
export function stripStyle(text: string): string {
  return text.replace(escapes, '')
}

/** Columns that text takes on the screen. Every character kvscope draws with is one column wide. */
export function visibleWidth(text: string): number {
  return [...stripStyle(text)].length
}
