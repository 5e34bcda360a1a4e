import { describe, expect, it } from 'vitest'
import { centerColumns, linearCka } from '../../../src/heads/linear-cka.ts'
import { weightLikeness } from '../../../src/heads/weight-likeness.ts'
import { seededRandom } from '../../../src/stats/random.ts'

const at = (values: ArrayLike<number>, index: number) => values[index] ?? Number.NaN

function randomMatrix(rows: number, columns: number, seed: number): Float32Array {
  const random = seededRandom(seed)
  return Float32Array.from({ length: rows * columns }, () => random() + random() + random() - 1.5)
}

/** HSIC with linear kernels by the definition: traces of centred [rows, rows] Grams (Kornblith et al. 2019, eqs. 3, 4). */
function ckaByDefinition(x: Float32Array, y: Float32Array, rows: number, columns: number): number {
  const gram = (matrix: Float32Array) => {
    const value = (row: number, column: number) => at(matrix, row * columns + column)
    const means = Array.from({ length: columns }, (_, column) => {
      let sum = 0
      for (let row = 0; row < rows; row += 1) sum += value(row, column)
      return sum / rows
    })
    return (one: number, other: number) =>
      means.reduce((sum, centre, column) => sum + (value(one, column) - centre) * (value(other, column) - centre), 0)
  }
  const [k, l] = [gram(x), gram(y)]
  let [cross, own, its] = [0, 0, 0]
  for (let one = 0; one < rows; one += 1) {
    for (let other = 0; other < rows; other += 1) {
      cross += k(one, other) * l(one, other)
      own += k(one, other) ** 2
      its += l(one, other) ** 2
    }
  }
  return cross / Math.sqrt(own * its)
}

const ckaOf = (x: Float32Array, y: Float32Array, rows: number, columns: number) =>
  linearCka(centerColumns(x, rows, columns), centerColumns(y, rows, columns))

describe('linearCka', () => {
  it('agrees with NumPy on a small pair', () => {
    // |Yc.T @ Xc|^2 / (|Xc.T @ Xc| |Yc.T @ Yc|) in float64, columns centred
    const x = Float32Array.of(1, 2, 3, 5, -1, 0, 2, 2)
    const y = Float32Array.of(0, 1, 1, 1, 4, -2, 1, 3)
    expect(ckaOf(x, y, 4, 2)).toBeCloseTo(0.4695114386027933, 12)
  })
  it.each([1, 3, 4, 7])('agrees with the definition by Grams of the rows (%i columns)', (columns) => {
    const x = randomMatrix(20, columns, 1)
    const y = randomMatrix(20, columns, 2)
    expect(ckaOf(x, y, 20, columns)).toBeCloseTo(ckaByDefinition(x, y, 20, columns), 6)
  })
  it('is 1 for a matrix that is rotated, scaled and shifted, and for no such matrix less', () => {
    const [rows, columns] = [50, 4]
    const x = randomMatrix(rows, columns, 3)
    const turned = x.slice()
    const [cos, sin] = [Math.cos(0.7), Math.sin(0.7)]
    for (let row = 0; row < rows; row += 1) {
      for (const [a, b] of [
        [0, 1],
        [1, 2],
        [2, 3],
      ] as const) {
        const [one, other] = [at(turned, row * columns + a), at(turned, row * columns + b)]
        turned[row * columns + a] = cos * one - sin * other
        turned[row * columns + b] = sin * one + cos * other
      }
    }
    const moved = turned.map((value, index) => -3 * value + (index % columns))
    expect(ckaOf(x, moved, rows, columns)).toBeCloseTo(1, 6)
    const stretched = x.map((value, index) => (index % columns === 0 ? 5 * value : value))
    expect(ckaOf(x, stretched, rows, columns)).toBeLessThan(0.95)
  })
  it('is near d_head / (d_head + d_model) for independent matrices, not 0', () => {
    const [rows, columns] = [300, 16]
    const found = ckaOf(randomMatrix(rows, columns, 4), randomMatrix(rows, columns, 5), rows, columns)
    expect(found).toBeCloseTo(columns / (rows + columns), 2)
  })
})

describe('weightLikeness', () => {
  const [a, b] = [randomMatrix(12, 4, 6), randomMatrix(12, 4, 7)]
  it('finds MHA all different, GQA its groups and MQA one', () => {
    const c = randomMatrix(12, 4, 8)
    expect(weightLikeness([a, b, c], 12, 4).groups).toEqual([[0], [1], [2]])
    expect(weightLikeness([a, a.slice(), b, b.slice()], 12, 4).groups).toEqual([
      [0, 1],
      [2, 3],
    ])
    const shared = weightLikeness([a, a, a.slice()], 12, 4)
    expect(shared.groups).toEqual([[0, 1, 2]])
    const all = (value: number) => [0, 1, 2].map(() => [value, value, value])
    expect(shared.maxDifference).toEqual(all(0))
    expect(shared.cosine).toEqual(all(1))
    expect(shared.cka).toEqual(all(1))
  })
  it('gives symmetric matrices by head whose values are those of the pair', () => {
    const found = weightLikeness([a, b, a.slice()], 12, 4)
    const largest = a.reduce((most, value, index) => Math.max(most, Math.abs(value - at(b, index))), 0)
    expect(found.maxDifference).toEqual([
      [0, largest, 0],
      [largest, 0, largest],
      [0, largest, 0],
    ])
    const cka = ckaByDefinition(a, b, 12, 4)
    expect(found.cka[0]?.[1]).toBeCloseTo(cka, 6)
    expect(found.cka[1]?.[2]).toBe(found.cka[0]?.[1])
    expect(found.cka[0]?.[2]).toBe(1)
  })
  it('has the cosine of the values as they stand, sign and all', () => {
    const x = Float32Array.of(1, 2, 3, 5, -1, 0, 2, 2)
    const y = Float32Array.of(0, 1, 1, 1, 4, -2, 1, 3)
    const found = weightLikeness([x, y, x.map((value) => -2 * value)], 4, 2)
    expect(found.cosine[0]?.[1]).toBeCloseTo(0.35176323534072423, 12)
    expect(found.cosine[0]?.[2]).toBeCloseTo(-1, 12)
    expect(found.cka[0]?.[2]).toBeCloseTo(1, 12)
  })
  it('parts two matrices that differ in one value by one step of float32', () => {
    const nudged = a.slice()
    nudged[17] = at(a, 17) + 2 ** -22
    const found = weightLikeness([a, nudged], 12, 4)
    expect(found.groups).toEqual([[0], [1]])
    expect(found.maxDifference[0]?.[1]).toBeGreaterThan(0)
  })
  it('counts likeness without a value as 0 between different matrices, 1 between equal ones', () => {
    const zero = new Float32Array(48)
    const found = weightLikeness([zero, a, zero.slice()], 12, 4)
    expect(found.cosine).toEqual([
      [1, 0, 1],
      [0, 1, 0],
      [1, 0, 1],
    ])
    expect(found.cka[0]).toEqual([1, 0, 1])
  })
  it('shows a value that is not a number instead of passing over it', () => {
    const broken = a.slice()
    broken[3] = Number.NaN
    const found = weightLikeness([a, broken], 12, 4)
    expect(found.groups).toEqual([[0], [1]])
    expect(found.maxDifference[0]?.[1]).toBeNaN()
  })
  it('refuses a matrix of another shape, and names the head', () => {
    expect(() => weightLikeness([a, new Float32Array(44)], 12, 4)).toThrow('head 1: 44 values are no matrix [12, 4]')
  })
})
