import { describe, expect, it } from 'vitest'
import { createStyle, stripStyle } from '../../../src/render/style.ts'
import { type Table, tableToCsv, tableToMarkdown, tableToText, wrap } from '../../../src/render/table.ts'

const table: Table = {
  columns: [{ title: 'model' }, { title: 'bytes', align: 'right' }],
  rows: [['MHA', '1,024'], null, ['a|b "c", d', '7']],
}

describe('tables', () => {
  it('aligns numbers to the right, and leaves no blanks at the end of a line', () => {
    expect(tableToText(table)).toBe(
      ['model       bytes', '──────────  ─────', 'MHA         1,024', '', 'a|b "c", d      7'].join('\n'),
    )
  })

  it('measures a coloured cell by what is seen of it', () => {
    const style = createStyle(true)
    const coloured = tableToText({ ...table, rows: [[style.good('MHA'), style.bad('1')]] })
    expect(coloured).not.toBe(stripStyle(coloured))
    expect(stripStyle(coloured)).toBe(tableToText({ ...table, rows: [['MHA', '1']] }))
  })

  it('wraps its widest text column rather than overflow the terminal', () => {
    const long = {
      columns: [{ title: 'what' }, { title: 'n', align: 'right' as const }],
      rows: [['word '.repeat(30).trim(), '3']],
    }
    const lines = tableToText(long, { width: 40 }).split('\n')
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(40)
    expect(lines.join(' ').match(/word/g)).toHaveLength(30)
  })

  it('escapes pipes in Markdown, and marks right-aligned columns', () => {
    expect(tableToMarkdown(table).split('\n')).toEqual([
      '| model       | bytes |',
      '| ----------- | ----: |',
      '| MHA         | 1,024 |',
      '| a\\|b "c", d |     7 |',
    ])
  })

  it('quotes commas, quotes and line breaks in CSV', () => {
    expect(
      tableToCsv({
        columns: [{ title: 'a' }, { title: 'b' }],
        rows: [
          ['1,024', 'say "x"'],
          ['two\nlines', 'plain'],
        ],
      }),
    ).toBe('a,b\r\n"1,024","say ""x"""\r\n"two\nlines",plain\r\n')
  })

  it('cuts a word that is longer than the line', () => {
    expect(wrap('abcdefgh ij', 5)).toEqual(['abcde', 'fgh', 'ij'])
  })
})
