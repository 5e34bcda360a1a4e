import { describe, expect, it } from 'vitest'
import { roundWeights } from '../../../src/checkpoints/round-weights.ts'

function rounded(dtype: 'F16' | 'BF16', ...values: number[]): { words: number[]; tooLarge: number } {
  const into = new Uint16Array(values.length)
  const tooLarge = roundWeights(Float32Array.from(values), dtype, into)
  return { words: [...into], tooLarge }
}

describe('rounding weights', () => {
  it('takes the even neighbour of a tie, in both types', () => {
    expect(rounded('F16', 1 + 2 ** -11, 1 + 3 * 2 ** -11).words).toEqual([0x3c00, 0x3c02])
    expect(rounded('BF16', 1 + 2 ** -8, 1 + 3 * 2 ** -8).words).toEqual([0x3f80, 0x3f82])
  })

  it('carries into the exponent', () => {
    expect(rounded('F16', 2 - 2 ** -12).words).toEqual([0x4000])
    expect(rounded('BF16', 2 - 2 ** -9).words).toEqual([0x4000])
  })

  it('keeps the subnormals of half-floats, and their ties', () => {
    expect(rounded('F16', 2 ** -24, 1.5 * 2 ** -24, 2 ** -25, -(2 ** -24)).words).toEqual([1, 2, 0, 0x8001])
  })

  it('says which finite value became an infinity, and leaves infinities and NaN alone', () => {
    expect(rounded('F16', 1, 65_519, Number.POSITIVE_INFINITY)).toEqual({
      words: [0x3c00, 0x7bff, 0x7c00],
      tooLarge: -1,
    })
    expect(rounded('F16', 1, 2, -65_520).tooLarge).toBe(2)
    expect(rounded('BF16', 65_520, 3.4e38).tooLarge).toBe(1)
    const { words, tooLarge } = rounded('BF16', Number.NaN, Number.NEGATIVE_INFINITY)
    expect([(words[0] ?? 0) & 0x7fff, words[1], tooLarge]).toEqual([0x7fc0, 0xff80, -1])
  })

  it('keeps a NaN whose fraction lies in the half that goes', () => {
    const value = new Float32Array(Uint32Array.of(0x7f800001).buffer)
    const into = new Uint16Array(1)
    expect(roundWeights(value, 'BF16', into)).toBe(-1)
    expect((into[0] ?? 0) & 0x7fff).toBeGreaterThan(0x7f80)
  })
})
