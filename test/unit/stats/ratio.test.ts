import { describe, expect, it } from 'vitest'
import { seededRandom } from '../../../src/stats/random.ts'
import { medianOfBlockRatios, type Ratio, ratioOfMedians } from '../../../src/stats/ratio.ts'
import { bimodal, gaussian, interrupted, lognormal } from './noise.ts'

const width = ({ interval }: Ratio) => (interval ? interval.high - interval.low : Number.NaN)

describe('medianOfBlockRatios', () => {
  it('is the median of what the blocks say, each for itself', () => {
    // 0.5, 0.8, 0.9, 1, 2: the middle is 0.9, whatever the machine did to a block.
    expect(medianOfBlockRatios([10, 100, 20, 3, 7], [5, 80, 18, 3, 14]).ratio).toBeCloseTo(0.9, 12)
  })
  it('inverts when the sides are exchanged', () => {
    const [one, other] = [
      [10, 11, 12, 10.5, 11.5, 13],
      [9, 11.5, 11, 10, 12, 12],
    ] as const
    const there = medianOfBlockRatios(one, other)
    const back = medianOfBlockRatios(other, one)
    expect(back.ratio).toBeCloseTo(1 / there.ratio, 12)
    expect(back.interval?.low).toBeCloseTo(1 / (there.interval?.high ?? 0), 1)
  })
  it('is surer than unpaired medians where blocks share their noise', () => {
    const random = seededRandom(8)
    const weather = Array.from({ length: 12 }, () => 100 + 20 * gaussian(random))
    const baseline = weather.map((value) => value + 0.1 * gaussian(random))
    const candidate = weather.map((value) => 0.9 * value + 0.1 * gaussian(random))
    expect(width(medianOfBlockRatios(baseline, candidate))).toBeLessThan(width(ratioOfMedians(baseline, candidate)) / 5)
  })
  it('has no interval under five blocks', () => {
    expect(medianOfBlockRatios([1, 2, 3, 4], [1, 2, 3, 5]).interval).toBeNull()
  })
  it('refuses to pair unequal numbers of samples', () => {
    expect(() => medianOfBlockRatios([1, 2, 3], [1, 2])).toThrow(/not 3 and 2/)
  })
})

describe('ratioOfMedians', () => {
  it('is candidate over baseline', () => expect(ratioOfMedians([10, 10, 10], [5, 5, 5]).ratio).toBe(0.5))
  it('has no interval when a side has two samples', () => {
    expect(ratioOfMedians([1, 2, 3, 4, 5], [1, 2]).interval).toBeNull()
  })
})

describe('the intervals of ratios', () => {
  const experiments = 400
  const drift = (block: number) => Math.exp(0.3 * Math.sin(block / 4) + 0.02 * block)
  const noises = { lognormal, interrupted, bimodal }
  const cases = Object.entries(noises).flatMap(([name, noise]) =>
    [5, 10, 30].map((blocks) => ({ name, noise, blocks })),
  )

  it.each(cases)('of $blocks blocks hold the true ratio in about 95 of 100: $name noise on a drift', (one) => {
    const noise = one.noise(seededRandom(one.blocks), 0.05)
    let held = 0
    for (let experiment = 0; experiment < experiments; experiment += 1) {
      const baseline = Array.from({ length: one.blocks }, (_, block) => drift(block) * noise())
      const candidate = Array.from({ length: one.blocks }, (_, block) => 1.1 * drift(block) * noise())
      const { interval } = medianOfBlockRatios(baseline, candidate, { resamples: 400, seed: experiment })
      if (interval && interval.low <= 1.1 && interval.high >= 1.1) held += 1
    }
    // Five blocks cannot hold it more often than 93.75 % (fewestForInterval); three standard errors below that.
    expect(held / experiments).toBeGreaterThan(0.9)
  })

  it('say of subjects that are alike in at most about 5 of 100 experiments that one is faster', () => {
    const random = seededRandom(31)
    const noise = interrupted(random, 0.03)
    let excluded = 0
    for (let experiment = 0; experiment < 1000; experiment += 1) {
      const baseline = Array.from({ length: 10 }, (_, block) => drift(block) * noise())
      const candidate = Array.from({ length: 10 }, (_, block) => drift(block) * noise())
      const { interval } = medianOfBlockRatios(baseline, candidate, { resamples: 400, seed: experiment })
      if (interval && (interval.low > 1 || interval.high < 1)) excluded += 1
    }
    expect(excluded / 1000).toBeLessThan(0.065)
    expect(excluded / 1000).toBeGreaterThan(0.005)
  })

  it('of unpaired medians hold the true ratio too, as long as nothing drifts', () => {
    const noise = lognormal(seededRandom(33), 0.05)
    let held = 0
    for (let experiment = 0; experiment < experiments; experiment += 1) {
      const baseline = Array.from({ length: 10 }, noise)
      const candidate = Array.from({ length: 12 }, () => 1.1 * noise())
      const { interval } = ratioOfMedians(baseline, candidate, { resamples: 400, seed: experiment })
      if (interval && interval.low <= 1.1 && interval.high >= 1.1) held += 1
    }
    expect(held / experiments).toBeGreaterThan(0.9)
    expect(held / experiments).toBeLessThan(0.995)
  })
})
