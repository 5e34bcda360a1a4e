import { describe, expect, it } from 'vitest'
import { type MeasureOptions, measureInterleaved, type Trial } from '../../../src/bench/measure.ts'
import { precisionOf } from '../../../src/bench/precision.ts'
import { isUnfinished, isWarm } from '../../../src/bench/warm-up.ts'
import { median } from '../../../src/stats/quantile.ts'
import { seededRandom } from '../../../src/stats/random.ts'
import { medianInterval } from '../../../src/stats/summary.ts'

/** Trials that take simulated time: the loop under test reads this clock and no other. */
function simulate(durations: readonly ((run: number) => number)[]) {
  let time = 0
  const log: string[] = []
  const trials = durations.map((duration, index): Trial => {
    let runs = 0
    return {
      prepare: () => {
        time += 1000
        log.push(`prepare ${index}`)
      },
      run: async () => {
        time += duration(runs)
        runs += 1
        log.push(`run ${index}`)
      },
      inspect: () => {
        time += 1000
        log.push(`inspect ${index}`)
      },
    }
  })
  const blocks: [number, number][] = []
  const measure = (options: Partial<MeasureOptions> = {}) =>
    measureInterleaved(trials, {
      blocks: 4,
      maxMilliseconds: null,
      random: seededRandom(1),
      onBlock: (block, fraction) => void blocks.push([block, fraction]),
      clock: () => time,
      ...options,
    })
  return { measure, log, blocks }
}
const constant = (value: number) => () => value
const runsOf = (log: string[]) => log.filter((line) => line.startsWith('run')).map((line) => Number(line.slice(4)))

describe('measureInterleaved', () => {
  it('times the run alone, not what is prepared or inspected around it', async () => {
    const { measure } = simulate([constant(5), constant(7)])
    expect((await measure()).samples).toEqual([
      [5, 5, 5, 5],
      [7, 7, 7, 7],
    ])
  })
  it('times every subject once a block, in orders that vary and repeat for a seed', async () => {
    const first = simulate([constant(1), constant(1), constant(1)])
    const second = simulate([constant(1), constant(1), constant(1)])
    await first.measure({ blocks: 20 })
    await second.measure({ blocks: 20 })
    const runs = runsOf(first.log)
    const orders = new Set<string>()
    for (let start = 0; start < runs.length; start += 3) {
      const block = runs.slice(start, start + 3)
      expect([...block].sort()).toEqual([0, 1, 2])
      orders.add(block.join())
    }
    expect(orders.size).toBeGreaterThan(3)
    expect(first.log).toEqual(second.log)
  })
  it('keeps the warm-up out of the samples, and goes on with it while a subject still gets faster', async () => {
    const warming = (run: number) => Math.max(10, 40 - 10 * run)
    const { measure, log } = simulate([warming, constant(10)])
    const {
      samples: [samples],
    } = await measure()
    expect(samples).toEqual([10, 10, 10, 10])
    // 40, 30, 20, and then level.
    expect(runsOf(log)).toHaveLength(2 * (5 + 4))
  })
  it('ends early when the time is spent, but not before five blocks', async () => {
    const { measure } = simulate([constant(100_000)])
    const {
      samples: [samples],
    } = await measure({ blocks: 50, maxMilliseconds: 200_000 })
    expect(samples).toHaveLength(5)
  })
  it('gives up below five blocks when they would take far more than allowed', async () => {
    const { measure } = simulate([constant(100_000)])
    const {
      samples: [samples],
    } = await measure({ blocks: 50, maxMilliseconds: 50_000 })
    expect(samples).toHaveLength(1)
  })
  it('waits for whoever is told of a block or a trial, before it prepares one', async () => {
    const { measure, log } = simulate([constant(5)])
    const slowly = (what: string) => async () => {
      await new Promise((resolve) => setImmediate(resolve))
      log.push(what)
    }
    await measure({ blocks: 1, onBlock: slowly('block'), beforeTrial: slowly('before') })
    const trial = ['before', 'prepare 0', 'run 0', 'inspect 0']
    expect(log).toEqual(['block', ...trial, ...trial, ...trial, 'block', ...trial])
  })
  it('reports a fraction that never falls, with the warm-up as block 0', async () => {
    const { measure, blocks } = simulate([constant(5)])
    await measure({ blocks: 4, maxMilliseconds: 12_000 })
    expect(blocks[0]).toEqual([0, 0])
    const fractions = blocks.map(([, fraction]) => fraction)
    expect([...fractions].sort((a, b) => a - b)).toEqual(fractions)
    expect(Math.max(...fractions)).toBeLessThanOrEqual(1)
  })
})

describe('measureInterleaved, asked otherwise', () => {
  it('keeps the order given and counts the first trial where it is told to', async () => {
    const { measure, log } = simulate([(run) => (run === 0 ? 50 : 5), constant(7)])
    const { samples, places, warmUpUnfinished } = await measure({ order: 'GIVEN', warmUp: false })
    expect(samples).toEqual([
      [50, 5, 5, 5],
      [7, 7, 7, 7],
    ])
    expect(places).toEqual([
      [0, 0, 0, 0],
      [1, 1, 1, 1],
    ])
    expect(runsOf(log)).toEqual([0, 1, 0, 1, 0, 1, 0, 1])
    expect(warmUpUnfinished).toEqual([false, false])
  })
  it("says each sample's place in its block", async () => {
    const { measure, log } = simulate([constant(1), constant(1), constant(1)])
    const { places } = await measure({ blocks: 10 })
    const runs = runsOf(log).slice(-30)
    for (const [subject, own] of places.entries()) {
      for (const [block, place] of own.entries()) expect(runs[3 * block + place]).toBe(subject)
    }
  })
  it('says whose warm-up its time ended, and not whose was level', async () => {
    const { measure } = simulate([(run) => 60_000 - 5_000 * run, constant(1)])
    const { warmUpUnfinished, samples } = await measure({ blocks: 5, maxMilliseconds: 600_000 })
    expect(warmUpUnfinished).toEqual([true, false])
    expect(samples[0]).toHaveLength(5)
  })
  it('warms up for half a minute at most where no time is set, and two level trials will do', async () => {
    const { measure, log } = simulate([constant(20_000)])
    const { warmUpUnfinished } = await measure({ blocks: 5 })
    expect(runsOf(log)).toHaveLength(2 + 5)
    expect(warmUpUnfinished).toEqual([false])
  })
  it('times the points of several tests in the same blocks, and allows time for each', async () => {
    const fourTrials = [constant(20_000), constant(20_000), constant(20_000), constant(20_000)]
    const { measure, log } = simulate(fourTrials)
    const { samples, places } = await measure({ tests: 2, blocks: 50, maxMilliseconds: 400_000 })
    const blocks = samples[0]?.length ?? 0
    // 800 s for both: warm-up ends after its quarter, and 80 s a block fill the rest.
    expect(blocks).toBeGreaterThanOrEqual(7)
    expect(blocks).toBeLessThan(10)
    const timed = runsOf(log).slice(-4 * blocks)
    for (let block = 0; block < blocks; block += 1) {
      expect(timed.slice(4 * block, 4 * block + 4).sort()).toEqual([0, 1, 2, 3])
      expect(places.map((own) => own[block]).sort()).toEqual([0, 1, 2, 3])
    }
  })
  it('runs the meter around timed trials alone', async () => {
    const { measure, log } = simulate([constant(5)])
    await measure({
      blocks: 1,
      meter: { start: () => void log.push('start'), stop: () => void log.push('stop') },
    })
    const trial = ['prepare 0', 'run 0', 'inspect 0']
    expect(log).toEqual([...trial, ...trial, ...trial, 'prepare 0', 'start', 'run 0', 'stop', 'inspect 0'])
  })
})

describe('a precision to reach', () => {
  const noisy = (seed: number, middle: number, share: number) => {
    const random = seededRandom(seed)
    return () => middle * (1 + share * (random() - 0.5))
  }

  it("asks for each test's ratios to its own first subject, where tests share the blocks", async () => {
    const shared = { targetPrecision: 0.03, maxMilliseconds: 1e9 }
    // Of each test the subjects are steady to one another; the tests are not.
    const [steady, wild] = [noisy(4, 100, 0.01), noisy(5, 1000, 0.8)]
    let now = 0
    const both = [() => steady(), () => steady(), () => (now = wild()), () => now]
    const together = await simulate(both).measure({ ...shared, tests: 2, blocks: 6, order: 'GIVEN' })
    expect(together.samples[0]).toHaveLength(6)
    const apart = await simulate(both).measure({ ...shared, blocks: 6, order: 'GIVEN' })
    expect(apart.samples[0]?.length).toBeGreaterThan(20)
  })
  it('goes on beyond the blocks until every ratio is within it', async () => {
    const { measure, blocks } = simulate([noisy(1, 100, 0.3), noisy(2, 120, 0.3), noisy(3, 90, 0.3)])
    const { samples } = await measure({ blocks: 5, targetPrecision: 0.03, maxMilliseconds: 1e9 })
    expect(samples[0]?.length).toBeGreaterThan(20)
    expect(samples[0]?.length).toBeLessThan(1000)
    const reached = precisionOf(samples)
    expect(reached[0]).toBe(0)
    for (const one of reached) expect(one).toBeLessThanOrEqual(0.03)
    const fractions = blocks.map(([, fraction]) => fraction)
    expect(Math.max(...fractions)).toBeLessThanOrEqual(1)
  })
  it('is that of the median where there is one subject', async () => {
    const { measure } = simulate([noisy(4, 100, 0.2)])
    const { samples } = await measure({ blocks: 5, targetPrecision: 0.02, maxMilliseconds: 1e9 })
    const [own = []] = samples
    const interval = medianInterval(own)
    if (interval === null) throw new Error('there is an interval')
    expect((interval.high - interval.low) / 2 / median(own)).toBeLessThanOrEqual(0.02)
    expect(own.length).toBeGreaterThan(10)
  })
  it('measures the blocks asked for, however soon it is reached', async () => {
    const { measure } = simulate([constant(5), constant(7)])
    const { samples } = await measure({ blocks: 12, targetPrecision: 0.1 })
    expect(samples[0]).toHaveLength(12)
  })
  it('gives up after five minutes, after the time that was set, or after 1,000 blocks', async () => {
    const never = { blocks: 5, targetPrecision: 0.0001 }
    const slow = simulate([noisy(5, 3_000, 0.5)])
    expect((await slow.measure(never)).samples[0]?.length).toBeLessThan(300 / 5)
    const set = simulate([noisy(6, 3_000, 0.5)])
    const { samples } = await set.measure({ ...never, maxMilliseconds: 60_000 })
    expect(samples[0]?.length).toBeLessThan(60 / 5)
    const quick = simulate([noisy(7, 1, 0.5)])
    // Preparing takes two simulated seconds a trial here, so the time has to be large for blocks to be the bound.
    expect((await quick.measure({ ...never, maxMilliseconds: 1e9 })).samples[0]).toHaveLength(1000)
  })
})

describe('isWarm', () => {
  it.each([
    [[], false],
    [[50], false],
    [[50, 40], false],
    [[50, 40, 30], false],
    [[50, 30, 31], true],
    [[30, 29.8, 29.6], true],
    [[90, 50, 30.2, 30.1, 30.3], true],
    [[50, 40, 30, 20, 10], false],
    [[50, 40, 30, 20, 10, 10, 10], false],
    [[50, 40, 30, 20, 10, 10, 10, 10], true],
  ])('%j: %s', (times, warm) => expect(isWarm(times)).toBe(warm))
  it('takes level noise for warm within a few trials, and a fall of a twentieth a trial not before it ends', () => {
    const trials: number[] = []
    const falling: number[] = []
    for (let seed = 0; seed < 200; seed += 1) {
      const random = seededRandom(seed)
      const until = (time: (run: number) => number) => {
        const times: number[] = []
        while (!isWarm(times)) times.push(time(times.length) * (1 + 0.02 * (random() - 0.5)))
        return times.length
      }
      trials.push(until(() => 100))
      falling.push(until((run) => 100 * Math.max(0.5, 1 - run / 20)))
    }
    expect(median(trials)).toBe(3)
    expect(Math.max(...trials)).toBeLessThanOrEqual(8)
    expect(Math.min(...falling)).toBeGreaterThan(10)
  })
})

describe('isUnfinished', () => {
  it.each([
    [[], true],
    [[50], true],
    [[50, 40], true],
    [[50, 49.9], false],
    [[50, 60], false],
    [[50, 40, 30], true],
    [[50, 30, 31], false],
  ])('%j: %s', (times, unfinished) => expect(isUnfinished(times)).toBe(unfinished))
})
