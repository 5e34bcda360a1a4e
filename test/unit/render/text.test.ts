import { describe, expect, it } from 'vitest'
import {
  escapeXml,
  fitText,
  formatRanges,
  textWidth,
  tokenLabel,
  visibleText,
  wrapText,
} from '../../../src/render/text.ts'

describe('text in pictures', () => {
  it('closes no tag, attribute or section', () => {
    expect(escapeXml(`</text><script>"a"&'b'</script>]]>`)).toBe(
      '&lt;/text&gt;&lt;script&gt;&quot;a&quot;&amp;&#39;b&#39;&lt;/script&gt;]]&gt;',
    )
  })

  it.each([
    ['\u0000\u0007\u001b[31m', '\\x00\\x07\\x1b[31m'],
    ['a\nb\tc', 'a↵b⇥c'],
    ['\u007f\u0085', '\\x7f\\x85'],
    ['ab\u202edc\u2066x\u2069', 'ab\\u202edc\\u2066x\\u2069'],
    ['\u200bzero\ufeff\u00ad', '\\u200bzero\\ufeff\\u00ad'],
    ['\ud800 lone \udc00', '\ufffd lone \ufffd'],
    ['\ufffe\uffff\ufdd0\u{1ffff}', '\ufffd\ufffd\ufffd\ufffd'],
    ['\u{e0041}', '\\ue0041'],
    ['naïve 中文 שלום 😀', 'naïve 中文 שלום 😀'],
  ])('shows %j as %j', (text, shown) => {
    expect(visibleText(text)).toBe(shown)
  })

  it('writes out every character that turns or hides the text around it', () => {
    const points = [0xad, 0x61c, 0x200b, 0x200e, 0x200f, 0x2028, 0x2029, 0x202a, 0x202e, 0x2060, 0x2069, 0xfeff, 0xfff9]
    for (const point of points) expect(visibleText(String.fromCodePoint(point))).toMatch(/^\\u[0-9a-f]{4}$/)
  })

  it('leaves no character that XML forbids, whatever comes', () => {
    const all = Array.from({ length: 0x10000 }, (_, unit) => String.fromCharCode(unit)).join('|')
    // XML 1.0, production 2, and no markup.
    expect(escapeXml(all)).not.toMatch(/[^\t\n\r -\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]|[<>"']/u)
  })

  it('marks the blank of a token and cuts a long one', () => {
    expect(tokenLabel(' fox')).toBe('␣fox')
    expect(tokenLabel('')).toBe('∅')
    expect(tokenLabel(' '.repeat(30))).toBe(`${'␣'.repeat(13)}…`)
    expect([...tokenLabel('😀'.repeat(30), 5)]).toHaveLength(5)
  })

  it('measures by the widest font that it names', () => {
    expect(textWidth('iiii', 10)).toBeLessThan(textWidth('WWWW', 10))
    expect(textWidth('abcd', 10, 'mono')).toBeCloseTo(24.08)
    expect(textWidth('abcd', 10, 'bold')).toBeGreaterThan(textWidth('abcd', 10))
  })

  it('cuts and wraps to a width, also what has no blanks or no end', () => {
    const long = 'word '.repeat(2000)
    expect(textWidth(fitText(long, 100, 12), 12)).toBeLessThanOrEqual(100)
    for (const line of wrapText(`${'x'.repeat(300)} ${long.slice(0, 300)}`, 100, 12)) {
      expect(textWidth(line, 12)).toBeLessThanOrEqual(100)
    }
    expect(wrapText('one two', 400, 12)).toEqual(['one two'])
    const cut = wrapText(long, 100, 12, { mostLines: 3 })
    expect(cut).toHaveLength(3)
    expect(cut.at(-1)).toMatch(/…$/)
    expect(wrapText('x'.repeat(1e6), 100, 12)).toEqual([fitText('x'.repeat(400), 100, 12)])
  })

  it('writes heads as ranges', () => {
    expect(formatRanges([0, 1, 2, 3, 7, 9, 10])).toBe('0-3, 7, 9-10')
    expect(formatRanges([5])).toBe('5')
    expect(formatRanges([])).toBe('')
  })
})
