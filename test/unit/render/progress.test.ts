import { describe, expect, it } from 'vitest'
import { bar, progressLine } from '../../../src/render/progress.ts'
import { sharingStrip } from '../../../src/render/sharing.ts'
import { visibleWidth } from '../../../src/render/style.ts'

describe('progress', () => {
  it('fills a bar in steps of an eighth of a column', () => {
    expect(bar(0, 4)).toBe('')
    expect(bar(0.5, 4)).toBe('██')
    expect(bar(0.53125, 4)).toBe('██▏')
    expect(bar(1.7, 4)).toBe('████')
  })

  it('never says 100 % before the end', () => {
    expect(progressLine({ fraction: 0.9999, message: 'last block', elapsedMs: 900 }, 80)).toContain(' 99 %')
    expect(progressLine({ fraction: 1, message: 'done', elapsedMs: 900 }, 80)).toContain('100 %')
  })

  it.each([20, 40, 80])('fits %d columns, cutting the message and not the bar', (width) => {
    const line = progressLine({ fraction: 0.3, message: 'x'.repeat(200), elapsedMs: 61_000 }, width)
    expect(visibleWidth(line)).toBeLessThanOrEqual(Math.max(width, 24))
    expect(line).toContain(' 30 %')
  })
})

describe('the strip of shared heads', () => {
  it('marks where each K/V head begins', () => {
    expect(sharingStrip(4, 4)).toBe('■ ■ ■ ■')
    expect(sharingStrip(4, 2)).toBe('■━━ ■━━')
    expect(sharingStrip(4, 1)).toBe('■━━━━━━')
  })
})
