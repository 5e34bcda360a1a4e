import { describe, expect, it } from 'vitest'
import { poolHeads } from '../../../src/models/head-pooling.ts'

describe('poolHeads', () => {
  // GPT-2's bias, q | k | v: 4 heads of width 1.
  const fused = { outer: 1, inner: 1, before: 4, parts: 2, kvHeads: 4, headDim: 1 }
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
    const layout = { outer: 2, inner: 1, before: 4, parts: 2, kvHeads: 2, headDim: 2 }
    const weight = Float32Array.of(0, 0, 0, 0, 1, 2, 3, 4, 10, 20, 30, 40, 9, 9, 9, 9, 5, 6, 7, 8, 50, 60, 70, 80)
    expect([...poolHeads(weight, layout, 1, 'MEAN')]).toEqual([0, 0, 0, 0, 2, 3, 20, 30, 9, 9, 9, 9, 6, 7, 60, 70])
  })

  it("pools the rows of a Linear's weight", () => {
    // [out 4, in 3]: 2 heads of width 2
    const layout = { outer: 1, inner: 3, before: 0, parts: 1, kvHeads: 2, headDim: 2 }
    const weight = Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)
    expect([...poolHeads(weight, layout, 1, 'MEAN')]).toEqual([4, 5, 6, 7, 8, 9])
    expect([...poolHeads(weight, layout, 1, 'FIRST')]).toEqual([1, 2, 3, 4, 5, 6])
  })

  it('gives the same by one step as by two', () => {
    const once = poolHeads(bias, fused, 1, 'MEAN')
    const twice = poolHeads(poolHeads(bias, fused, 2, 'MEAN'), { ...fused, kvHeads: 2 }, 1, 'MEAN')
    expect([...twice]).toEqual([...once])
  })
})
