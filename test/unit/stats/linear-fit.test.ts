import { describe, expect, it } from 'vitest'
import { fitLine } from '../../../src/stats/linear-fit.ts'
import { seededRandom } from '../../../src/stats/random.ts'

const random = seededRandom(20261124)
/** Box and Muller 1958. */
const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
const depths = [0, 256, 512, 896]

/** Trials of a time with 2 % of noise, which is in proportion to it. */
const trials = (time: number, count = 10) => Array.from({ length: count }, () => time * (1 + 0.02 * normal()))

describe('a line through the points of a sweep', () => {
  it('is the known one where there is no noise, with intervals of no width', () => {
    const fit = fitLine(depths.map((x) => ({ x, samples: Array(6).fill(20 + 0.005 * x) })))
    expect(fit?.fixed.value).toBeCloseTo(20, 10)
    expect(fit?.slope.value).toBeCloseTo(0.005, 12)
    expect(fit?.slope.interval?.low).toBeCloseTo(0.005, 12)
    expect(fit?.slope.interval?.high).toBeCloseTo(0.005, 12)
    expect(fit?.curved).toBe(false)
  })

  it('holds the true slope and fixed cost within its 95 % intervals 92 to 99.5 times of 100', () => {
    const repeats = 400
    const held = { slope: 0, fixed: 0, curved: 0 }
    for (let repeat = 0; repeat < repeats; repeat += 1) {
      const points = depths.map((x) => ({ x, samples: trials(20 + 0.005 * x) }))
      const fit = fitLine(points, { resamples: 300, seed: repeat })
      const { slope, fixed } = fit ?? expect.unreachable()
      if (slope.interval && slope.interval.low <= 0.005 && slope.interval.high >= 0.005) held.slope += 1
      if (fixed.interval && fixed.interval.low <= 20 && fixed.interval.high >= 20) held.fixed += 1
      if (fit?.curved) held.curved += 1
    }
    for (const share of [held.slope / repeats, held.fixed / repeats]) {
      expect(share).toBeGreaterThan(0.92)
      expect(share).toBeLessThan(0.995)
    }
    expect(held.curved).toBe(0)
  })

  it('lets noise that all points share cancel where blocks are paired', () => {
    const blocks = Array.from({ length: 12 }, () => 1 + 0.1 * Math.abs(normal()))
    const points = [1, 4, 12].map((x) => ({ x, samples: blocks.map((load) => load + 0.1 * x) }))
    const width = (paired: boolean) => {
      const interval = fitLine(points, { paired })?.slope.interval
      return interval ? interval.high - interval.low : Number.NaN
    }
    expect(width(true)).toBeLessThan(width(false) / 10)
  })

  it('does not take the slowness of a whole point for a slope', () => {
    const repeats = 300
    const surely = { slope: 0, curved: 0 }
    for (let repeat = 0; repeat < repeats; repeat += 1) {
      // Another load beside each point, so that all of its trials are slower together.
      const points = [0, 256, 512, 768, 896].map((x) => ({ x, samples: trials(20 * (1 + 0.1 * random())) }))
      const fit = fitLine(points, { resamples: 300, seed: repeat })
      const interval = fit?.slope.interval
      if (interval && (interval.low > 0 || interval.high < 0)) surely.slope += 1
      if (fit?.curved) surely.curved += 1
    }
    expect(surely.slope / repeats).toBeLessThan(0.15)
    expect(surely.curved / repeats).toBeLessThan(0.15)
  })

  it('is not moved by one disturbed trial of a point', () => {
    const points = depths.map((x) => ({ x, samples: [...Array(8).fill(20 + 0.005 * x), 500] }))
    expect(fitLine(points)?.slope.value).toBeCloseTo(0.005, 12)
  })

  it('weighs a short time as much as a long one: a tenth more of the least is not lost beside it', () => {
    const exact = [1, 10, 100, 1000].map((x) => ({ x, samples: Array(6).fill(x === 1 ? 1.1 : x) }))
    expect(fitLine(exact)?.fixed.value).toBeGreaterThan(0.05)
  })

  it('says where the points bend, and leaves alone a bend too small to matter', () => {
    const quadratic = (share: number) =>
      fitLine([64, 128, 256, 512].map((x) => ({ x, samples: trials(x + (share * x ** 2) / 512) })))
    expect(quadratic(0)?.curved).toBe(false)
    expect(quadratic(0.1)?.curved).toBe(false)
    expect(quadratic(1)?.curved).toBe(true)
    expect(quadratic(1)?.bend.value).toBeGreaterThan(0)
    const noise = fitLine(
      [0, 1, 2].map((x) => ({ x, samples: [10, 14, 9, 13, 11, 12].map((one) => one * (x === 1 ? 1.1 : 1)) })),
    )
    expect(Math.abs(noise?.bend.value ?? 0)).toBeGreaterThan(0.05)
    expect(noise?.curved).toBe(false)
  })

  it('has no intervals under five trials of a point, and is none under three points', () => {
    const points = depths.map((x) => ({ x, samples: trials(20, x === 0 ? 4 : 10) }))
    expect(fitLine(points)).toMatchObject({ fixed: { interval: null }, slope: { interval: null } })
    expect(fitLine(points.slice(0, 2))).toBeNull()
    expect(fitLine([...points.slice(0, 2), { x: 0, samples: [20] }])).toBeNull()
  })
})
