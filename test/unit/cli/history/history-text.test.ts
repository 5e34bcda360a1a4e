import { InvalidArgumentError } from 'commander'
import { describe, expect, it } from 'vitest'
import { parseSpan } from '../../../../src/cli/history/run-filter.ts'
import { sparkline } from '../../../../src/cli/history/sparkline.ts'
import { parseTest, trendText } from '../../../../src/cli/history/trend.ts'
import { createStyle, visibleWidth } from '../../../../src/render/style.ts'

describe('a sparkline', () => {
  it('lays the least lowest and the greatest highest, and equal values in the middle', () => {
    expect(sparkline([1, 2, 3, 8], 80)).toBe('▁▂▃█')
    expect(sparkline([5, 5, 5], 80)).toBe('▅▅▅')
    expect(sparkline([], 80)).toBe('')
  })

  it('takes means where there are more values than columns', () => {
    expect(sparkline([0, 0, 10, 10, 0, 0], 3)).toBe('▁█▁')
    expect(
      sparkline(
        Array.from({ length: 997 }, (_, index) => index),
        80,
      ),
    ).toHaveLength(80)
  })
})

describe('what commands over stored runs are told', () => {
  it('knows spans, days where no unit stands', () => {
    expect([parseSpan('90d'), parseSpan('12h'), parseSpan('2w'), parseSpan('1.5')]).toEqual([
      90 * 86_400e3,
      12 * 3_600e3,
      14 * 86_400e3,
      1.5 * 86_400e3,
    ])
    expect([parseSpan(''), parseSpan('soon'), parseSpan('-1d')]).toEqual([null, null, null])
  })

  it('knows from the name of a test which phase it is', () => {
    expect(parseTest('tg128 @ d512')).toEqual({ name: 'tg128 @ d512', phase: 'DECODE' })
    expect(parseTest('PP512')).toEqual({ name: 'pp512', phase: 'PREFILL' })
    expect(parseTest('pp512+tg128@d4 x2')).toEqual({ name: 'pp512+tg128 @ d4 x2', phase: 'COMBINED' })
    expect(parseTest('tg8 @ d0')).toEqual({ name: 'tg8', phase: 'DECODE' })
    for (const wrong of ['', 'decode', 'pp512tg128', 'pp512+', '+tg1', '@ d4'])
      expect(() => parseTest(wrong), wrong).toThrow(InvalidArgumentError)
  })
})

describe('a trend', () => {
  const point = (day: number, value: number) => ({
    runId: `0193a1b2-0000-7000-8000-0000000000${day}`,
    at: `2026-11-${day}T08:00:00.000Z`,
    value,
    interval: null,
  })
  const points = [point(10, 100), point(11, 101), point(12, 120), point(13, 121)]
  const [, , third] = points
  const change = { after: third ?? point(12, 120), ratio: 1.2, interval: { low: 1.18, high: 1.22, level: 0.95 } }
  const trend = { points, changes: [change], excluded: 2, unit: 'ms', chartUrl: '/x' }

  it('is a line, the newest runs, and every change with the first run after it, in 80 columns', () => {
    const text = trendText(trend, { title: 'gpt2, tg8, ms', last: 3 }, createStyle(false))
    for (const line of text.split('\n')) expect(visibleWidth(line), line).toBeLessThanOrEqual(80)
    expect(text).toContain('▁▁██')
    expect(text).not.toContain('2026-11-10 08:00')
    expect(text).toMatch(/2026-11-12 08:00 {2}\S+12 +120 ms {2}1\.200$/m)
    expect(text.replaceAll('\n', ' ')).toContain(
      'since 2026-11-12 08:00, run 0193a1b2-0000-7000-8000-000000000012: 1.200',
    )
    expect(text).toContain('2 runs are left out')
  })

  it('says so where nothing changed, and where there is nothing', () => {
    expect(trendText({ ...trend, changes: [] }, { title: 't', last: 3 }, createStyle(false))).toContain(
      'no change of level',
    )
    expect(trendText({ ...trend, points: [] }, { title: 't', last: 3 }, createStyle(false))).toContain(
      'no run has such',
    )
  })
})
