import { describe, expect, it } from 'vitest'
import { verdictOf } from '../../../src/stats/verdict.ts'

const interval = (low: number, high: number) => ({ low, high, level: 0.95 })

describe('verdictOf', () => {
  it.each([
    [0.7, 0.9, 'FASTER'],
    [1.1, 1.3, 'SLOWER'],
    [0.99, 1.01, 'NO_DIFFERENCE'],
    [0.98, 1.02, 'NO_DIFFERENCE'],
    [0.95, 1.01, 'INCONCLUSIVE'],
    [0.9, 1, 'INCONCLUSIVE'],
    [0.97, 0.995, 'FASTER'],
  ] as const)('%f to %f is %s at a margin of 2 %%', (low, high, verdict) => {
    expect(verdictOf(interval(low, high), 0.02)).toBe(verdict)
  })
  it('prefers NO_DIFFERENCE where the interval is inside the margin and on one side of 1', () => {
    expect(verdictOf(interval(0.985, 0.995), 0.02)).toBe('NO_DIFFERENCE')
  })
  it('is INCONCLUSIVE without an interval', () => expect(verdictOf(null)).toBe('INCONCLUSIVE'))
})
