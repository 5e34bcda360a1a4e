import { describe, expect, it } from 'vitest'
import { minimumDetectableEffect, samplesToDetect } from '../../../src/stats/minimum-detectable-effect.ts'
import { seededRandom } from '../../../src/stats/random.ts'
import { medianOfBlockRatios } from '../../../src/stats/ratio.ts'
import { lognormal } from './noise.ts'

const interval = { low: 0.95, high: 1.06, level: 0.95 }

describe('minimumDetectableEffect', () => {
  it('is the half-width and the quantile of the power: 9.23 % for 0.95 to 1.06 of ten blocks, as SciPy computes it', () => {
    // expm1(log(1.06 / 0.95) / 2 * (1 + t.ppf(0.9, 9) / t.ppf(0.975, 9)))
    expect(minimumDetectableEffect(interval, 10)).toBeCloseTo(0.0922862265773068, 4)
  })
  it('is what about 90 of 100 experiments with that scatter show', () => {
    const random = seededRandom(21)
    const noise = lognormal(random, 0.05)
    const blocks = 20
    const experiment = (effect: number) => {
      const baseline = Array.from({ length: blocks }, noise)
      const candidate = Array.from({ length: blocks }, () => noise() * (1 + effect))
      return medianOfBlockRatios(baseline, candidate, { resamples: 400 }).interval ?? { low: 0, high: 0, level: 0 }
    }
    const detectable = Array.from({ length: 200 }, () => minimumDetectableEffect(experiment(0), blocks)).sort(
      (a, b) => a - b,
    )
    const typical = detectable[100] ?? 0
    const shown = Array.from({ length: 300 }, () => experiment(typical)).filter(({ low }) => low > 1).length / 300
    expect(shown).toBeGreaterThan(0.82)
    expect(shown).toBeLessThan(0.98)
  })
})

describe('samplesToDetect', () => {
  it.each([
    [0.02, 145],
    [0.05, 27],
    [0.1, 10],
  ])('of a difference of %f asks for %i blocks in place of ten, as SciPy computes it', (effect, blocks) => {
    expect(Math.abs(samplesToDetect(interval, 10, effect) - blocks)).toBeLessThanOrEqual(1)
  })
  it('inverts minimumDetectableEffect', () => {
    const detectable = minimumDetectableEffect(interval, 10)
    expect(samplesToDetect(interval, 10, detectable * 1.0001)).toBe(10)
    expect(samplesToDetect(interval, 10, detectable * 0.99)).toBe(11)
  })
  it('is infinite where a million samples would not do', () => {
    expect(samplesToDetect({ low: 0.1, high: 10, level: 0.95 }, 5, 0.0001)).toBe(Number.POSITIVE_INFINITY)
  })
})
