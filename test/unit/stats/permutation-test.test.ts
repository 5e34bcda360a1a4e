import { describe, expect, it } from 'vitest'
import { pairedPermutationTest, unpairedPermutationTest } from '../../../src/stats/permutation-test.ts'
import { seededRandom } from '../../../src/stats/random.ts'
import { doubledRanks } from '../../../src/stats/ranks.ts'

// Figures of SciPy 1.17.1: stats.wilcoxon(..., method='exact'), stats.permutation_test(..., permutation_type='samples',
// n_resamples=inf) of the sum of signed ranks, and stats.mannwhitneyu(..., method='exact').

describe('doubledRanks', () => {
  it('gives equal values the mean of their ranks', () => {
    expect([...doubledRanks([30, 10, 20, 10])]).toEqual([8, 3, 6, 3])
  })
})

describe('pairedPermutationTest', () => {
  it('counts the flips by hand: of eight for three blocks, two are as uneven as all signs alike', () => {
    expect(pairedPermutationTest([0.1, 0.2, 0.3])).toBe(2 / 8)
    // Ranks 1, 2, 3 with signs -, +, +: 4 less 2 of 6; only +++, -++ and their mirrors are as uneven.
    expect(pairedPermutationTest([-0.1, 0.2, 0.3])).toBe(4 / 8)
    expect(pairedPermutationTest([0.3, -0.2, -0.1])).toBe(1)
  })
  it("agrees with SciPy's exact test of ten blocks", () => {
    const differences = [0.12, -0.03, 0.07, 0.02, -0.01, 0.09, 0.05, 0.11, -0.04, 0.06]
    expect(pairedPermutationTest(differences)).toBeCloseTo(0.048828125, 12)
  })
  it("agrees with SciPy's exact permutations of ties and a block without difference", () => {
    expect(pairedPermutationTest([0.02, -0.02, 0.02, 0.05, 0, 0.05, -0.01, 0.03])).toBeCloseTo(0.140625, 12)
  })
  it('is 1 where no block differs', () => expect(pairedPermutationTest([0, 0, 0, 0, 0])).toBe(1))
  it('is the same for the sides exchanged', () => {
    const differences = [0.4, -0.1, 0.25, 0.3, -0.05, 0.01]
    expect(pairedPermutationTest(differences.map((value) => -value))).toBe(pairedPermutationTest(differences))
  })
  it('draws flips of more than 100 blocks and never says 0', () => {
    const differences = Array.from({ length: 120 }, (_, block) => (block + 1) * ((block * block) % 7 < 3 ? 1 : -1))
    const p = pairedPermutationTest(differences)
    // SciPy: 2.7e-5, of which 3,333 draws meet none or one.
    expect(p).toBeGreaterThan(0)
    expect(p).toBeLessThan(0.0015)
    const alike = differences.map((value, block) => (block % 2 === 0 ? Math.abs(value) : -Math.abs(value)))
    expect(pairedPermutationTest(alike)).toBeGreaterThan(0.5)
  })
})

describe('unpairedPermutationTest', () => {
  it('counts the deals by hand: of six for two and two, two are as far apart', () => {
    expect(unpairedPermutationTest([1, 2], [3, 4])).toBeCloseTo(2 / 6, 12)
  })
  it("agrees with SciPy's exact test of six and seven samples", () => {
    const baseline = [10.1, 10.4, 9.9, 10.0, 10.7, 10.2]
    const candidate = [10.55, 10.9, 10.3, 11.2, 10.6, 10.8, 10.45]
    expect(unpairedPermutationTest(baseline, candidate)).toBeCloseTo(0.022144522144522144, 12)
  })
  it('counts ties as an enumeration of every deal does', () => {
    const values = [3, 1, 2, 2, 2, 5, 1, 4]
    const ranks = doubledRanks(values)
    const mean = (ranks.reduce((sum, rank) => sum + rank, 0) * 3) / 8
    const distances: number[] = []
    for (let chosen = 0; chosen < 1 << 8; chosen += 1) {
      const dealt = [...ranks].filter((_, index) => (chosen >> index) & 1)
      if (dealt.length === 3) distances.push(Math.abs(dealt.reduce((sum, rank) => sum + rank, 0) - mean))
    }
    const observed = Math.abs((ranks[5] ?? 0) + (ranks[6] ?? 0) + (ranks[7] ?? 0) - mean)
    const share = distances.filter((distance) => distance >= observed).length / distances.length
    expect(distances).toHaveLength(56)
    expect(unpairedPermutationTest(values.slice(0, 5), values.slice(5))).toBeCloseTo(share, 12)
  })
  it("draws deals of more than 40 samples, near SciPy's exact figure", () => {
    const value = (index: number) => (index * 29) % 75
    const baseline = Array.from({ length: 40 }, (_, index) => value(index))
    const candidate = Array.from({ length: 35 }, (_, index) => value(index + 40) + 8.5)
    const p = unpairedPermutationTest(baseline, candidate)
    // Five standard errors of 4,999 draws about 0.08835.
    expect(Math.abs(p - 0.08835199686489115)).toBeLessThan(0.02)
  })
})

describe('the level of the permutation tests', () => {
  it('holds where a machine drifts between blocks and spikes within them: p <= 0.05 in at most 5 of 100', () => {
    const random = seededRandom(12)
    let paired = 0
    const experiments = 2000
    for (let experiment = 0; experiment < experiments; experiment += 1) {
      const spike = () => (random() < 0.2 ? 0.5 * random() : 0.02 * random())
      const differences = Array.from({ length: 10 }, (_, block) => (spike() - spike()) * (1 + block))
      if (pairedPermutationTest(differences) <= 0.05) paired += 1
    }
    // Nominal 4.9 % at ten blocks; four standard errors above it.
    expect(paired / experiments).toBeLessThan(0.069)
    expect(paired / experiments).toBeGreaterThan(0.03)
  })
})
