import { describe, expect, it } from 'vitest'
import { findOutliers, modifiedZScores, outlierCutoff } from '../../../src/stats/outliers.ts'
import { type Random, seededRandom } from '../../../src/stats/random.ts'

const normal = (random: Random) => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())

describe('modifiedZScores', () => {
  it("are 0.6745 x deviation / median deviation, as in Iglewicz and Hoaglin's example", () => {
    // median 3.2, deviations 1.1, 0.6, 0, 0.5 and 4.8 of median 0.6
    const scores = modifiedZScores([2.1, 2.6, 3.2, 3.7, 8])
    expect(scores.map((score) => Number(score.toFixed(3)))).toEqual([-1.237, -0.674, 0, 0.562, 5.396])
  })
  it('are 0 and infinite where more than half of the values are equal', () => {
    expect(modifiedZScores([2, 2, 2, 5])).toEqual([0, 0, 0, Number.POSITIVE_INFINITY])
  })
})

describe('findOutliers', () => {
  it.each([8, 10, 20, 50])('finds some in about one of 500 lists of %i normal values', (count) => {
    const random = seededRandom(count)
    let lists = 0
    for (let list = 0; list < 5000; list += 1) {
      if (findOutliers(Array.from({ length: count }, () => normal(random))).length > 0) lists += 1
    }
    expect(lists / 5000).toBeLessThan(0.006)
  })
  it('finds a value ten deviations off among twenty, and which it is', () => {
    const random = seededRandom(3)
    const values = Array.from({ length: 20 }, () => 100 + normal(random))
    values[7] = 112
    expect(findOutliers(values)).toEqual([7])
  })
  it('asks for more where there are fewer values', () => {
    expect(outlierCutoff(6)).toBeGreaterThan(outlierCutoff(10))
    expect(outlierCutoff(300)).toBeCloseTo(4.7, 1)
  })
})
