import { describe, expect, it } from 'vitest'
import { decodeHalves, encodeHalves, fromHalfBits, toHalfBits } from '../../../src/render/half-float.ts'

describe('half-floats', () => {
  it('come back as the same bits for all 15,361 probabilities', () => {
    for (let bits = 0; bits <= 0x3c00; bits++) {
      if (toHalfBits(fromHalfBits(bits)) !== bits) expect.fail(`bits ${bits}`)
    }
    const all = Uint16Array.from({ length: 0x3c01 }, (_, bits) => bits)
    expect(encodeHalves(decodeHalves(all))).toEqual(all)
  })

  it('come back as the same bits for every finite value of both signs', () => {
    for (let bits = 0; bits < 0x10000; bits++) {
      const special = (bits & 0x7c00) === 0x7c00
      if (!special && toHalfBits(fromHalfBits(bits)) !== bits) expect.fail(`bits ${bits}`)
    }
  })

  it('round to the nearest, and to the even one from the middle between two', () => {
    for (let bits = 0; bits < 0x7bff; bits++) {
      const [lower, upper] = [fromHalfBits(bits), fromHalfBits(bits + 1)]
      const middle = (lower + upper) / 2
      const nudge = (upper - lower) / 512
      const rounded = [middle - nudge, middle, middle + nudge].map(toHalfBits)
      const wanted = [bits, bits % 2 === 0 ? bits : bits + 1, bits + 1]
      if (String(rounded) !== String(wanted)) expect.fail(`${rounded} for ${wanted}`)
    }
  })

  it('are within 2.5e-4 of any probability', () => {
    for (let i = 0; i <= 100_000; i++) {
      const p = Math.fround(i / 100_000)
      if (Math.abs(fromHalfBits(toHalfBits(p)) - p) > 2.5e-4) expect.fail(`${p}`)
    }
  })

  it('know infinities, NaN and what is too large or too small', () => {
    expect(toHalfBits(Number.POSITIVE_INFINITY)).toBe(0x7c00)
    expect(toHalfBits(-65_520)).toBe(0xfc00)
    expect(toHalfBits(65_519)).toBe(0x7bff)
    expect(fromHalfBits(toHalfBits(Number.NaN))).toBeNaN()
    expect(toHalfBits(2 ** -26)).toBe(0)
    expect(toHalfBits(2 ** -24)).toBe(1)
  })

  it('can be written into a part of a larger array', () => {
    const into = new Uint16Array(4)
    encodeHalves(Float32Array.of(9, 1, 0.5, 9).subarray(1, 3), into.subarray(1, 3))
    expect([...into]).toEqual([0, 0x3c00, 0x3800, 0])
  })
})
