import { describe, expect, it } from 'vitest'
import { type Report, renderReport } from '../../../src/render/report.ts'
import { drawTrials } from '../../../src/render/trial-dots.ts'

const evil = `</style></pre><script>alert(1)</script><img src=x onerror="alert(2)">'&\u202e\u0000`

const report: Report = {
  title: `runs ${evil}`,
  made: 'kvscope report, 2026-11-24T08:00:00.000Z',
  runs: ['a', 'b'].map((id) => ({
    id: `${id}" onclick="x`,
    title: `Attention ${evil}`,
    lead: [evil],
    notices: [`SYNTHETIC WEIGHTS ${evil}`],
    blocks: [
      { of: 'heading', text: evil },
      { of: 'text', text: evil },
      { of: 'list', items: [evil] },
      { of: 'facts', rows: [[evil, evil]] },
      {
        of: 'table',
        caption: evil,
        table: { columns: [{ title: evil }, { title: 'n', align: 'right' }], rows: [[evil, '1'], null] },
      },
      { of: 'picture', svg: '<svg viewBox="0 0 1 1"></svg>', caption: evil },
      { of: 'source', text: `one\n${evil}` },
    ],
  })),
}
const page = renderReport(report)

describe('a report', () => {
  it('holds no element but its own, whatever a text holds', () => {
    const tags = new Set([...page.matchAll(/<\/?([a-z0-9]+)/g)].map(([, tag]) => tag))
    const own =
      'html head meta title style body header h1 h2 h3 p nav ol li a main section ul dl div dt dd table caption'
    const more = 'thead tr th tbody td figure svg figcaption pre'
    expect([...tags].sort()).toEqual([...new Set(`${own} ${more}`.split(' '))].sort())
    expect(page).not.toMatch(/ on[a-z]+="(?!x")/)
    expect(page).toContain('id="run-a&quot; onclick=&quot;x"')
    expect(page).not.toContain('\u202e')
    expect(page).toContain('\\u202e')
  })

  it('forbids every request and script, and names nothing outside itself', () => {
    expect(page).toContain(
      `content="default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"`,
    )
    expect(page).not.toMatch(/(src|href)="(?!#)/)
    expect(page).not.toMatch(/@import|url\(/)
    const links = [...page.matchAll(/href="#([^"]*)"/g)].map(([, target]) => target)
    expect(links).toHaveLength(2)
    for (const target of links) expect(page).toContain(`id="${target}"`)
  })

  it('keeps the lines of a source, and reads on paper', () => {
    expect(page).toMatch(/<pre>one\n/)
    expect(page).toMatch(/@media print\{[\s\S]*break-inside:avoid/)
    expect(page.startsWith('<!doctype html>\n<html lang="en">')).toBe(true)
  })

  it('has a list of its runs where there are several', () => {
    expect(page).toContain('<nav>')
    expect(renderReport({ ...report, runs: report.runs.slice(0, 1) })).not.toContain('<nav>')
  })
})

describe('the picture of trials', () => {
  const rows = [
    { label: `kv <${evil}>`, kind: 'MHA' as const, samples: [10, 20, 30], median: 20, interval: { low: 10, high: 30 } },
    { label: 'kv1', kind: 'MQA' as const, samples: [5], median: 5, interval: null },
  ]
  const svg = drawTrials({ title: 'decode', rows })

  it('has a dot a trial, from the first above to the last below, on an axis from 0', () => {
    const dots = [...svg.matchAll(/<circle cx="([\d.]+)" cy="([\d.]+)"/g)].map(([, x, y]) => [Number(x), Number(y)])
    expect(dots).toHaveLength(4)
    const [first, second, third] = dots.map(([x = 0, y = 0]) => ({ x, y }))
    if (!first || !second || !third) throw new Error('a dot is missing')
    expect(second.x - first.x).toBeCloseTo(third.x - second.x, 1)
    expect(first.y).toBeLessThan(second.y)
    expect(second.y).toBeLessThan(third.y)
    // 0 stands where the axis begins: 10 ms is as far from it as 20 ms is from 10.
    const zero = Number(/<path d="M([\d.]+) 40V/.exec(svg)?.[1])
    expect(first.x - zero).toBeCloseTo(second.x - first.x, 1)
  })

  it('draws a band where there is an interval, and no other', () => {
    expect(svg.match(/fill-opacity="0.18"/g)).toHaveLength(1)
  })

  it('escapes labels', () => {
    expect(svg).not.toContain('<script')
    expect(svg).not.toContain('\u202e')
  })

  it('stands even where all took no time', () => {
    const none = drawTrials({
      title: 't',
      rows: [{ label: 'a', kind: 'GQA', samples: [0, 0], median: 0, interval: null }],
    })
    expect(none).not.toMatch(/NaN|Infinity/)
  })
})
