import { describe, expect, it } from 'vitest'
import { csvRecord, csvText } from '../../../src/render/csv.ts'

describe('a CSV record', () => {
  it('ends in CRLF, leaves null empty and numbers as they are', () => {
    expect(csvRecord(['a', 1.5, -0.25, true, null, ''])).toBe('a,1.5,-0.25,true,,\r\n')
  })

  it('quotes separators, quotes, line ends and blanks at an end (RFC 4180)', () => {
    expect(csvRecord(['a,b', 'say "x"', 'two\nlines', ' fox', 'fox ', 'a;b', 'plain text'])).toBe(
      '"a,b","say ""x""","two\nlines"," fox","fox ","a;b",plain text\r\n',
    )
  })
})

describe('text that a spreadsheet would run', () => {
  it.each(['=1+1', '+1', '-2', '@SUM(A1)', ' =1', '\u00a0-2', '\ufeff=1', '\uff1d1', '\uff0b1', '\uff0d1', '\uff201'])(
    '%j gets an apostrophe in front',
    (text) => {
      expect(csvText(text).replace(/^"/, '')).toMatch(/^'/)
    },
  )

  it('begins with one apostrophe more than before, so that the text can be had again', () => {
    const texts = ['=1+1', "'=1+1", "'", "''x", 'a=b', '\tx', '\nx', 'x', '1-2', '<b>', '']
    const cells = texts.map((text) => csvText(text))
    const read = cells.map((cell) => (cell.startsWith('"') ? cell.slice(1, -1).replaceAll('""', '"') : cell))
    expect(read.map((cell) => (cell.startsWith("'") ? cell.slice(1) : cell))).toEqual(texts)
    expect(read.filter((cell) => /^[=+\-@\t\r\n]/.test(cell))).toEqual([])
  })
})
