import { describe, expect, it } from 'vitest'
import { columnsByPosition } from '../../../src/models/probability-columns.ts'

/** Two heads of one query each: columns 1, 2, 3 ... of the first, 101, 102, 103 ... of the second. */
function rows(columns: number): { data: Float32Array; dims: number[] } {
  const data = Float32Array.from(
    { length: 2 * columns },
    (_, at) => 100 * Math.floor(at / columns) + (at % columns) + 1,
  )
  return { data, dims: [1, 2, 1, columns] }
}
const of = (...found: Parameters<typeof columnsByPosition>) => {
  const { data, dims } = columnsByPosition(...found)
  return [[...data.subarray(0, dims[3])], [...data.subarray(dims[3])]]
}

describe('the columns of probabilities', () => {
  it('are those of the graph where they are in order and none is spare', () => {
    const given = rows(5)
    expect(columnsByPosition(given, 4, null).data).toBe(given.data)
    expect(columnsByPosition(given, 4, 4).data).toBe(given.data)
  })

  it('lose those of spare rows, of a ring that has not come round too', () => {
    const kept = [
      [1, 2, 3, 8],
      [101, 102, 103, 108],
    ]
    expect(of(rows(8), 3, null)).toEqual(kept)
    expect(of(rows(8), 3, 7)).toEqual(kept)
  })

  it.each([
    // Of five rows, those of the positions 5, 6, 2, 3, 4: the next token takes the place of 2.
    [7, [0, 0, 3, 4, 5, 1, 2, 6]],
    [10, [0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6]],
    [6, [0, 2, 3, 4, 5, 1, 6]],
  ])('of a ring stand where %i cached tokens stand, 0 for those that it let go', (past, expected) => {
    expect(of(rows(6), past, 5)[0]).toEqual(expected)
    expect(of(rows(6), past, 5)[1]).toEqual(expected.map((value) => (value === 0 ? 0 : value + 100)))
  })

  it('stay half-floats where they are', () => {
    const halves = Uint16Array.from([9, 8, 7, 6])
    const { data, dims } = columnsByPosition({ data: halves, dims: [1, 1, 1, 4] }, 4, 3)
    expect(dims).toEqual([1, 1, 1, 5])
    expect(data).toEqual(Uint16Array.from([0, 8, 7, 9, 6]))
  })
})
