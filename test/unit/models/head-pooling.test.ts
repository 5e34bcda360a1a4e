import { describe, expect, it } from 'vitest'
import { type HeadLayout, poolHeads } from '../../../src/models/head-pooling.ts'

describe('poolHeads', () => {
  // GPT-2's bias, q | k | v: 4 heads of width 1.
  const fused: HeadLayout = { outer: 1, inner: 1, order: 'SIDE_BY_SIDE', queries: 4, kvHeads: 4, headDim: 1 }
  const bias = Float32Array.of(1, 2, 3, 4, 10, 20, 30, 50, 100, 300, 500, 700)

  it('keeps the queries and takes the mean of neighbouring heads, for K and V apart', () => {
    expect([...poolHeads(bias, fused, 2, 'MEAN')]).toEqual([1, 2, 3, 4, 15, 40, 200, 600])
    expect([...poolHeads(bias, fused, 1, 'MEAN')]).toEqual([1, 2, 3, 4, 27.5, 400])
  })

  it('takes the first of neighbouring heads', () => {
    expect([...poolHeads(bias, fused, 2, 'FIRST')]).toEqual([1, 2, 3, 4, 10, 30, 100, 500])
  })

  it("pools the columns of a Conv1D's rows, dimension by dimension of a head", () => {
    // [in 2, q 4 | k 4 | v 4]: 2 heads of width 2
    const layout: HeadLayout = { outer: 2, inner: 1, order: 'SIDE_BY_SIDE', queries: 2, kvHeads: 2, headDim: 2 }
    const weight = Float32Array.of(0, 0, 0, 0, 1, 2, 3, 4, 10, 20, 30, 40, 9, 9, 9, 9, 5, 6, 7, 8, 50, 60, 70, 80)
    expect([...poolHeads(weight, layout, 1, 'MEAN')]).toEqual([0, 0, 0, 0, 2, 3, 20, 30, 9, 9, 9, 9, 6, 7, 60, 70])
  })

  it("pools the rows of a Linear's weight", () => {
    // [out 4, in 3]: 2 heads of width 2
    const layout: HeadLayout = { outer: 1, inner: 3, order: 'ALONE', queries: 0, kvHeads: 2, headDim: 2 }
    const weight = Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)
    expect([...poolHeads(weight, layout, 1, 'MEAN')]).toEqual([4, 5, 6, 7, 8, 9])
    expect([...poolHeads(weight, layout, 1, 'FIRST')]).toEqual([1, 2, 3, 4, 5, 6])
  })

  describe('of rows per group', () => {
    // 6 query heads in 3 groups of 2, width 1: q q k v, three times.
    const grouped: HeadLayout = { outer: 1, inner: 1, order: 'GROUPED', queries: 6, kvHeads: 3, headDim: 1 }
    const rows = Float32Array.of(1, 2, 10, 100, 3, 4, 20, 200, 5, 6, 60, 600)

    it('puts the queries of joined groups side by side, before their one K and V', () => {
      expect([...poolHeads(rows, grouped, 1, 'MEAN')]).toEqual([1, 2, 3, 4, 5, 6, 30, 300])
      expect([...poolHeads(rows, grouped, 1, 'FIRST')]).toEqual([1, 2, 3, 4, 5, 6, 10, 100])
    })

    it('makes groups of neighbours out of heads that had their K and V each', () => {
      // 4 heads of width 2 in a bias, q k v each
      const perHead: HeadLayout = { outer: 1, inner: 1, order: 'GROUPED', queries: 4, kvHeads: 4, headDim: 2 }
      const head = (n: number) => [n, n + 0.5, 10 * n, 10 * n + 1, 100 * n, 100 * n + 1]
      const bias = Float32Array.from([1, 2, 3, 4].flatMap(head))
      expect([...poolHeads(bias, perHead, 2, 'MEAN')]).toEqual([
        ...[1, 1.5, 2, 2.5, 15, 16, 150, 151],
        ...[3, 3.5, 4, 4.5, 35, 36, 350, 351],
      ])
    })
  })

  it('gives the same by one step as by two', () => {
    const once = poolHeads(bias, fused, 1, 'MEAN')
    const twice = poolHeads(poolHeads(bias, fused, 2, 'MEAN'), { ...fused, kvHeads: 2 }, 1, 'MEAN')
    expect([...twice]).toEqual([...once])
  })
})
