export type CsvCell = string | number | boolean | null

/**
 * One record of a CSV file (RFC 4180), ended by CRLF. Null is an empty cell, text is made harmless by `csvText`, and
 * numbers stand as JavaScript writes them.
 */
export function csvRecord(cells: readonly CsvCell[]): string {
  return `${cells.map((cell) => (typeof cell === 'string' ? csvText(cell) : String(cell ?? ''))).join(',')}\r\n`
}

/** What spreadsheets take for the beginning of a formula, also behind blanks and in its full-width forms (OWASP, CSV injection). */
const formula = /^\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|^[\t\r\n]/

/**
 * Text as a cell. What a spreadsheet would run as a formula, and what begins with an apostrophe already, gets an apostrophe
 * in front: whoever reads the file takes one off where a cell begins with one, and has the text again.
 */
export function csvText(text: string): string {
  return quoteCell(formula.test(text) || text.startsWith("'") ? `'${text}` : text)
}

/** Quotes what holds a separator, a quote or a line's end, or blanks at an end, which some readers take off. */
export function quoteCell(text: string): string {
  return /[",;\t\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
