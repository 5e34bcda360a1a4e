import { describe, expect, it } from 'vitest'
import { shareOf } from '../../../src/heads/head-sharing.ts'
import { kvGroups, kvHeadOf } from '../../../src/heads/kv-groups.ts'

/** A matrix [4, 2] that no other seed has. */
const matrix = (seed: number) => Float32Array.from({ length: 8 }, (_, place) => Math.sin(seed * 12.9 + place * 4.1))

describe('query heads and the K/V heads that they read', () => {
  it('are neighbours in groups of one size', () => {
    expect(kvGroups(6, 2)).toEqual([
      [0, 1, 2],
      [3, 4, 5],
    ])
    expect(kvGroups(3, 3)).toEqual([[0], [1], [2]])
    for (const [heads, kvHeads] of [
      [6, 2],
      [71, 1],
      [12, 12],
    ] as const) {
      for (const [group, readers] of kvGroups(heads, kvHeads).entries()) {
        for (const head of readers) expect(kvHeadOf(head, heads, kvHeads)).toBe(group)
      }
    }
  })
})

describe('what heads share', () => {
  it('is told by pair of query heads, whatever the number of matrices', () => {
    const shared = shareOf([matrix(1), matrix(2)], 4, 6)
    expect(shared).toMatchObject({ groups: kvGroups(6, 2), byConstruction: true })
    const apart = shared.maxDifference[0]?.[3]
    expect(apart).toBe(Math.max(...matrix(1).map((value, place) => Math.abs(value - (matrix(2)[place] ?? 0)))))
    expect(shared.maxDifference).toEqual(
      [0, 0, 0, 1, 1, 1].map((one) => [0, 0, 0, 1, 1, 1].map((other) => (one === other ? 0 : apart))),
    )
    for (const square of [shared.cosine, shared.cka]) {
      expect(square.map((row) => row.length)).toEqual([6, 6, 6, 6, 6, 6])
      expect(square[4]?.[5]).toBe(1)
      expect(square[2]?.[3]).toBeLessThan(1)
      expect(square[2]?.[3]).toBe(square[5]?.[0])
    }
  })

  it('is not by construction where heads have matrices of their own, or share more than their K/V head', () => {
    expect(shareOf([matrix(1), matrix(2), matrix(1)], 4, 3)).toMatchObject({
      groups: [[0, 2], [1]],
      byConstruction: false,
    })
    expect(shareOf([matrix(1), matrix(1), matrix(3)], 4, 6)).toMatchObject({
      groups: [
        [0, 1, 2, 3],
        [4, 5],
      ],
      byConstruction: false,
    })
    expect(shareOf([matrix(1), matrix(2)], 4, 2)).toMatchObject({ groups: [[0], [1]], byConstruction: false })
    expect(shareOf([matrix(1)], 4, 1)).toMatchObject({ groups: [[0]], byConstruction: false })
  })
})
