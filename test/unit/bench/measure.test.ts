import { describe, expect, it } from 'vitest'
import { type MeasureOptions, measureInterleaved, type Trial } from '../../../src/bench/measure.ts'
import { isWarm } from '../../../src/bench/warm-up.ts'
import { seededRandom } from '../../../src/stats/random.ts'

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
    expect(await measure()).toEqual([
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
    const [samples] = await measure()
    expect(samples).toEqual([10, 10, 10, 10])
    expect(runsOf(log)).toHaveLength(2 * (5 + 4))
  })
  it('ends early when the time is spent, but not before five blocks', async () => {
    const { measure } = simulate([constant(100_000)])
    const [samples] = await measure({ blocks: 50, maxMilliseconds: 200_000 })
    expect(samples).toHaveLength(5)
  })
  it('gives up below five blocks when they would take far more than allowed', async () => {
    const { measure } = simulate([constant(100_000)])
    const [samples] = await measure({ blocks: 50, maxMilliseconds: 50_000 })
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

describe('isWarm', () => {
  it.each([
    [[], false],
    [[50], false],
    [[50, 40], false],
    [[50, 40, 30], false],
    [[50, 30, 31], true],
    [[30, 29.8, 29.6], true],
    [[90, 50, 30.2, 30.1, 30.3], true],
    [[50, 40, 30, 20, 10], true],
  ])('%j: %s', (times, warm) => expect(isWarm(times)).toBe(warm))
})
