import { describe, expect, it } from 'vitest'
import { fillNormal } from '../../../src/models/normal.ts'

const count = 4_194_304

function draw(values: number, seed: number, name: string, deviation = 1): Float32Array {
  const out = new Float32Array(values)
  fillNormal(out, 0, seed, name, deviation)
  return out
}

const mean = (values: Float32Array, of: (x: number, i: number) => number) => {
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += of(values[i] ?? 0, i)
  return sum / values.length
}

/** P(|X| > x) of the standard normal by its continued fraction, good to 1e-10 for x >= 2. */
function twoTails(x: number): number {
  let fraction = x
  for (let k = 120; k >= 1; k--) fraction = x + k / fraction
  return (2 * Math.exp((-x * x) / 2)) / (Math.sqrt(2 * Math.PI) * fraction)
}

describe('fillNormal', () => {
  const sample = draw(count, 7, 'h.0.attn.c_attn.weight')

  // Bounds are six standard errors of each moment at this sample size; the seed is fixed, so the test is exact.
  it('has the mean, variance, skewness and kurtosis of the standard normal', () => {
    const bound = (variance: number) => 6 * Math.sqrt(variance / count)
    expect(Math.abs(mean(sample, (x) => x))).toBeLessThan(bound(1))
    expect(Math.abs(mean(sample, (x) => x * x) - 1)).toBeLessThan(bound(2))
    expect(Math.abs(mean(sample, (x) => x ** 3))).toBeLessThan(bound(15))
    expect(Math.abs(mean(sample, (x) => x ** 4) - 3)).toBeLessThan(bound(96))
  })

  it('has as much in its tails as the standard normal, beyond the base layer of the ziggurat too', () => {
    for (const x of [2, 3, 3.6541528853610088, 4, 4.5]) {
      const expected = count * twoTails(x)
      const found = sample.reduce((total, value) => total + (Math.abs(value) > x ? 1 : 0), 0)
      expect(Math.abs(found - expected), `beyond ${x}`).toBeLessThan(6 * Math.sqrt(expected))
    }
  })

  it('fills 512 equally likely cells evenly (chi-square, on the layers of the ziggurat and between)', () => {
    // Abramowitz and Stegun 7.1.26 bounds the distribution function to 1.5e-7: far below what this sample can tell.
    const cumulative = (x: number) => {
      const t = 1 / (1 + (0.3275911 * Math.abs(x)) / Math.SQRT2)
      const series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
      const upper = (series * Math.exp((-x * x) / 2)) / 2
      return x < 0 ? upper : 1 - upper
    }
    const cells = new Uint32Array(512)
    for (const value of sample) {
      const cell = Math.min(511, Math.floor(cumulative(value) * 512))
      cells[cell] = (cells[cell] ?? 0) + 1
    }
    const chiSquare = cells.reduce((total, found) => total + (found - count / 512) ** 2 / (count / 512), 0)
    // 511 degrees of freedom: mean 511, deviation 32
    expect(chiSquare).toBeGreaterThan(511 - 5 * 32)
    expect(chiSquare).toBeLessThan(511 + 5 * 32)
  })

  it('shows no correlation between neighbours, nor between their squares', () => {
    const bound = 6 / Math.sqrt(count)
    for (const lag of [1, 2, 3, 4, 64, 1024, 65_536]) {
      const product = mean(sample, (x, i) => x * (sample[(i + lag) % count] ?? 0))
      expect(Math.abs(product), `lag ${lag}`).toBeLessThan(bound)
      const squares = mean(sample, (x, i) => (x * x - 1) * ((sample[(i + lag) % count] ?? 0) ** 2 - 1))
      expect(Math.abs(squares), `squares, lag ${lag}`).toBeLessThan(2 * bound)
    }
  })

  it('shows no correlation between streams of different names or seeds', () => {
    for (const other of [draw(count, 7, 'h.1.attn.c_attn.weight'), draw(count, 8, 'h.0.attn.c_attn.weight')]) {
      expect(Math.abs(mean(sample, (x, i) => x * (other[i] ?? 0)))).toBeLessThan(6 / Math.sqrt(count))
    }
  })

  it('gives the same numbers in chunks of any size and in any order', () => {
    const whole = draw(300_000, 3, 'wte.weight', 0.02)
    for (const chunk of [1_000, 65_536, 100_003]) {
      const pieces = new Float32Array(whole.length)
      for (let start = Math.floor((whole.length - 1) / chunk) * chunk; start >= 0; start -= chunk) {
        fillNormal(pieces.subarray(start, Math.min(start + chunk, whole.length)), start, 3, 'wte.weight', 0.02)
      }
      expect(Buffer.from(pieces.buffer).equals(Buffer.from(whole.buffer)), `chunks of ${chunk}`).toBe(true)
    }
  })

  it('scales by the deviation asked for', () => {
    const small = draw(count, 7, 'h.0.attn.c_attn.weight', 0.02)
    expect(Math.sqrt(mean(small, (x) => x * x))).toBeCloseTo(0.02, 4)
  })

  it('draws the numbers it has always drawn', () => {
    const first = [...draw(6, 0, 'wte.weight')]
    expect(first).toEqual([
      -0.5349066257476807, -1.321319580078125, 0.5495161414146423, -0.06761481612920761, 0.6217675805091858,
      -0.0901385024189949,
    ])
    const far = new Float32Array(3)
    fillNormal(far, 50_000_000, 0, 'wte.weight', 1)
    expect([...far]).toEqual([0.7944108843803406, 1.5319794416427612, 1.1747715473175049])
  })
})
