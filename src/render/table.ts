import { quoteCell } from './csv.ts'
import { visibleWidth } from './style.ts'

export interface Column {
  title: string
  align?: 'left' | 'right'
}

/** Rows of text under columns. Every row has one cell a column; a null row is an empty line in text, and nothing else. */
export interface Table {
  columns: readonly Column[]
  rows: readonly (readonly string[] | null)[]
}

const gap = '  '

/**
 * A table as aligned text without boxes. Titles stand over their columns, under them a rule. Where the table is wider
 * than `width` columns of the screen, the widest left-aligned column wraps at words until it fits, down to 12 columns.
 */
export function tableToText(table: Table, options: { width?: number; head?: (title: string) => string } = {}): string {
  const widths = table.columns.map((column, index) =>
    Math.max(visibleWidth(column.title), ...table.rows.map((row) => visibleWidth(row?.[index] ?? ''))),
  )
  shrink(table.columns, widths, options.width ?? Number.POSITIVE_INFINITY)
  const head = options.head ?? ((title: string) => title)
  const titles = table.columns.map((column) => column.title)
  return [
    ...layRow(titles, table.columns, widths).map((line) => head(line)),
    head(widths.map((width) => '─'.repeat(width)).join(gap)),
    ...table.rows.flatMap((row) => (row === null ? [''] : layRow(row, table.columns, widths))),
  ].join('\n')
}

function shrink(columns: readonly Column[], widths: number[], width: number): void {
  const least = 12
  for (;;) {
    const excess = widths.reduce((sum, each) => sum + each, 0) + gap.length * (widths.length - 1) - width
    if (excess <= 0) return
    let widest = -1
    for (const [index, each] of widths.entries()) {
      const wraps = columns[index]?.align !== 'right' && each > least
      if (wraps && (widest < 0 || each > (widths[widest] ?? 0))) widest = index
    }
    const current = widths[widest]
    if (current === undefined) return
    widths[widest] = Math.max(least, current - excess)
  }
}

function layRow(cells: readonly string[], columns: readonly Column[], widths: readonly number[]): string[] {
  const wrapped = widths.map((width, index) => {
    const cell = cells[index] ?? ''
    return visibleWidth(cell) <= width && !cell.includes('\n') ? [cell] : wrap(cell, width)
  })
  const height = Math.max(...wrapped.map((lines) => lines.length))
  return Array.from({ length: height }, (_, line) =>
    widths
      .map((width, index) => pad(wrapped[index]?.[line] ?? '', width, columns[index]?.align ?? 'left'))
      .join(gap)
      .trimEnd(),
  )
}

function pad(text: string, width: number, align: 'left' | 'right'): string {
  const space = ' '.repeat(Math.max(0, width - visibleWidth(text)))
  return align === 'right' ? space + text : text + space
}

/** Breaks text at spaces into lines of at most `width` columns; a longer word is cut. Styles must not span a break. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  for (const paragraph of text.split('\n')) {
    let line = ''
    for (const word of paragraph.split(' ')) {
      const joined = line === '' ? word : `${line} ${word}`
      if (visibleWidth(joined) <= width) {
        line = joined
        continue
      }
      if (line !== '') lines.push(line)
      line = word
      while (visibleWidth(line) > width) {
        const characters = [...line]
        lines.push(characters.slice(0, width).join(''))
        line = characters.slice(width).join('')
      }
    }
    lines.push(line)
  }
  return lines
}

/** A table in GitHub's Markdown, padded so that it also reads as text. */
export function tableToMarkdown(table: Table): string {
  const mask = (cell: string) => cell.replaceAll('\\', '\\\\').replaceAll('|', '\\|').replaceAll('\n', '<br>')
  const titles = table.columns.map((column) => mask(column.title))
  const rows = table.rows.filter((row) => row !== null).map((row) => row.map(mask))
  const widths = titles.map((title, index) =>
    Math.max(3, visibleWidth(title), ...rows.map((row) => visibleWidth(row[index] ?? ''))),
  )
  const line = (cells: readonly string[]) =>
    `| ${widths.map((width, index) => pad(cells[index] ?? '', width, table.columns[index]?.align ?? 'left')).join(' | ')} |`
  const rule = widths.map((width, index) =>
    table.columns[index]?.align === 'right' ? `${'-'.repeat(width - 1)}:` : '-'.repeat(width),
  )
  return [line(titles), `| ${rule.join(' | ')} |`, ...rows.map(line)].join('\n')
}

/** A table as CSV (RFC 4180): lines end in CRLF, cells that need it are quoted. */
export function tableToCsv(table: Table): string {
  const rows = [table.columns.map((column) => column.title), ...table.rows.filter((row) => row !== null)]
  return rows.map((row) => `${row.map(quoteCell).join(',')}\r\n`).join('')
}
