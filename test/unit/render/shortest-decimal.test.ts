import { describe, expect, it } from 'vitest'
import { fromHalfBits, toHalfBits } from '../../../src/render/half-float.ts'
import { shortestHalf, shortestSingle } from '../../../src/render/shortest-decimal.ts'
import { seededRandom } from '../../../src/stats/random.ts'

describe('the shortest decimal of a float32', () => {
  it('is what people would write', () => {
    const texts = [0, 1, 0.1, -0.25, 1 / 3, 1e-8, 16_777_216].map((value) => shortestSingle(Math.fround(value)))
    expect(texts).toEqual(['0', '1', '0.1', '-0.25', '0.33333334', '1e-8', '16777216'])
  })

  it('gives the same float32 back, for numbers of every size', () => {
    const random = seededRandom(3)
    const bits = Uint32Array.from({ length: 20_000 }, () => random() * 2 ** 32)
    const values = new Float32Array(bits.buffer).filter(Number.isFinite)
    expect(values.length).toBeGreaterThan(19_000)
    const back = values.map((value) => Number(shortestSingle(value)))
    expect(back).toEqual(values)
  })

  it('says what is no number', () => {
    expect([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY].map(shortestSingle)).toEqual([
      'NaN',
      'Infinity',
      '-Infinity',
    ])
  })
})

describe('the shortest decimal of a half-float', () => {
  it('gives the same bits back, for every half-float of 0 and more, in at most five digits', () => {
    const texts = Array.from({ length: 0x7c00 }, (_, bits) => shortestHalf(fromHalfBits(bits)))
    expect(texts.map((text) => toHalfBits(Number(text)))).toEqual(texts.map((_, bits) => bits))
    const digits = texts.map((text) => text.replace(/e.*$/, '').replace('.', '').replace(/^0+/, '').length)
    expect(Math.max(...digits)).toBeLessThanOrEqual(5)
    expect([toHalfBits(1 / 3), toHalfBits(0.1)].map((bits) => shortestHalf(fromHalfBits(bits)))).toEqual([
      '0.3333',
      '0.1',
    ])
  })
})
