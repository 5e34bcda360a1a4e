import { describe, expect, it } from 'vitest'
import { testOrderEffect } from '../../../src/stats/order-effect.ts'
import { seededRandom, shuffled } from '../../../src/stats/random.ts'

/** Samples of subjects of 100 and 150 ms whose first place in a block costs so much more. */
function timed(seed: number, costOfFirst: number, blocks = 12) {
  const random = seededRandom(seed)
  const samples: number[][] = [[], []]
  const places: number[][] = [[], []]
  for (let block = 0; block < blocks; block += 1) {
    for (const [place, subject] of shuffled([0, 1], random).entries()) {
      const time = (subject === 0 ? 100 : 150) * (1 + 0.04 * (random() - 0.5)) * (place === 0 ? 1 + costOfFirst : 1)
      samples[subject]?.push(time)
      places[subject]?.push(place)
    }
  }
  return { samples, places }
}

describe('testOrderEffect', () => {
  it('finds that the first place of a block costs a twentieth more, and how much', () => {
    const { samples, places } = timed(1, 0.05, 20)
    const effect = testOrderEffect(samples, places)
    expect(effect.probability).toBeLessThan(0.002)
    expect((effect.places[0] ?? 0) / (effect.places[1] ?? 1)).toBeCloseTo(1.05, 2)
  })
  it('has small probabilities as rarely as they say where the place means nothing', () => {
    let below = 0
    const runs = 200
    for (let seed = 0; seed < runs; seed += 1) {
      const { samples, places } = timed(seed, 0, 8)
      if (testOrderEffect(samples, places, seed).probability <= 0.05) below += 1
    }
    expect(below / runs).toBeLessThan(0.1)
    expect(below / runs).toBeGreaterThan(0.01)
  })
  it('does not take one subject for slower because of its place: each is measured by its own median', () => {
    const { samples, places } = timed(9, 0)
    expect(testOrderEffect(samples, places).places.every((time) => Math.abs(time - 1) < 0.02)).toBe(true)
  })
})
