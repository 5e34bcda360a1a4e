import { describe, expect, it } from 'vitest'
import {
  attentionColourTable,
  attentionRamp,
  halfBitsOfOne,
  rampPosition,
  rampStep,
} from '../../../src/render/attention-ramp.ts'
import { contrast, fromHex, oklch, rgbToOklab, textOn, toHex } from '../../../src/render/colour-space.ts'
import { fromHalfBits } from '../../../src/render/half-float.ts'
import { type AttentionKind, kindStyles } from '../../../src/render/kind-style.ts'
import { grounds, type Theme } from '../../../src/render/theme.ts'
import { divergingStep, weightsRamp, weightsScale } from '../../../src/render/weights-ramp.ts'
import { distance, seenBy, type Vision } from '../../support/colour-vision.ts'

const kinds = Object.keys(kindStyles) as AttentionKind[]
const themes: Theme[] = ['light', 'dark']
const visions: Vision[] = ['normal', 'protan', 'deutan', 'tritan']
const ramps = kinds.flatMap((kind) => themes.map((theme) => ({ kind, theme, ramp: attentionRamp(kind, theme) })))

describe('OKLCH', () => {
  it('gives white, black and greys without a tint', () => {
    expect(oklch(1, 0, 0)).toEqual([255, 255, 255])
    expect(oklch(0, 0, 0)).toEqual([0, 0, 0])
    const [red, green, blue] = oklch(0.6, 0, 120)
    expect([green, blue]).toEqual([red, red])
  })

  it('keeps lightness and hue where sRGB has too little chroma', () => {
    const [lightness, a, b] = rgbToOklab(oklch(0.5, 0.4, 262))
    expect(lightness).toBeCloseTo(0.5, 1)
    expect((Math.atan2(b, a) * 180) / Math.PI + 360).toBeCloseTo(262, -0.5)
  })
})

describe('kinds of attention', () => {
  it.each([
    ['light', 'normal', 23.9],
    ['light', 'protan', 15.4],
    ['light', 'deutan', 13.7],
    ['light', 'tritan', 12.4],
    ['dark', 'normal', 22.8],
    ['dark', 'protan', 18.3],
    ['dark', 'deutan', 15.9],
    ['dark', 'tritan', 15.0],
  ] as const)('are told apart on %s ground by %s eyes: %d at least', (theme, vision, least) => {
    const colours = kinds.map((kind) => kindStyles[kind].colour[theme])
    const distances = colours.flatMap((one, i) => colours.slice(i + 1).map((other) => distance(vision, one, other)))
    expect(Math.min(...distances)).toBeCloseTo(least, 0)
  })

  it.each(themes)('stand out from every %s ground', (theme) => {
    for (const kind of kinds) {
      for (const ground of [grounds[theme].paper, grounds[theme].surface, grounds[theme].sunken]) {
        expect(contrast(fromHex(kindStyles[kind].colour[theme]), fromHex(ground))).toBeGreaterThanOrEqual(3.1)
      }
    }
  })

  it('differ by mark and by dash as well', () => {
    expect(new Set(kinds.map((kind) => kindStyles[kind].mark.shape)).size).toBe(kinds.length)
    expect(new Set(kinds.map((kind) => kindStyles[kind].dash)).size).toBe(kinds.length)
  })

  it.each(themes)('leave text readable on every %s ground', (theme) => {
    const { ink, quiet, paper, surface, sunken } = grounds[theme]
    for (const ground of [paper, surface, sunken]) {
      expect(contrast(fromHex(ink), fromHex(ground))).toBeGreaterThanOrEqual(13.2)
      expect(contrast(fromHex(quiet), fromHex(ground))).toBeGreaterThanOrEqual(5.7)
    }
  })
})

describe("attention's ramps", () => {
  it.each(ramps)('go from the $theme page to its ink in equal steps of lightness ($kind)', ({ theme, ramp }) => {
    const lightness = ramp.map((colour) => rgbToOklab(colour)[0])
    const [first, last] = theme === 'light' ? [0.975, 0.24] : [0.245, 0.97]
    expect(ramp).toHaveLength(256)
    expect(lightness[0]).toBeCloseTo(first, 2)
    expect(lightness[255]).toBeCloseTo(last, 2)
    for (const [step, value] of lightness.entries()) {
      expect(Math.abs(value - (first + ((last - first) * step) / 255))).toBeLessThan(0.006)
    }
  })

  it.each(ramps)('keep their order for every colour vision ($kind, $theme)', ({ theme, ramp }) => {
    const every = ramp.filter((_, step) => step % 8 === 0)
    for (const vision of visions) {
      const lightness = every.map((colour) => seenBy(vision, colour)[0])
      const sorted = [...lightness].sort((a, b) => (theme === 'light' ? b - a : a - b))
      expect(lightness, vision).toEqual(sorted)
    }
  })

  it.each(ramps)('carry numbers at 4.5:1 at least on every step ($kind, $theme)', ({ ramp }) => {
    for (const colour of ramp) expect(contrast(fromHex(textOn(colour)), colour)).toBeGreaterThanOrEqual(4.5)
  })

  it('give a probability of 0.01 a sixth of the ramp', () => {
    expect(rampPosition(0.01)).toBeCloseTo(0.158, 3)
    expect([rampStep(0), rampStep(1), rampStep(2), rampStep(-1)]).toEqual([0, 255, 255, 0])
  })

  it('give each of the 15,361 half-floats of a probability its colour', () => {
    const table = attentionColourTable('GQA', 'dark')
    const ramp = attentionRamp('GQA', 'dark')
    expect(table).toHaveLength(15_361)
    for (let bits = 0; bits <= halfBitsOfOne; bits += 97) {
      const word = table[bits] ?? 0
      expect([word & 255, (word >> 8) & 255, (word >> 16) & 255, word >>> 24]).toEqual([
        ...(ramp[rampStep(fromHalfBits(bits))] ?? []),
        255,
      ])
    }
  })
})

describe("weights' ramp", () => {
  it.each(themes)('has equal lightness for equal |w| and grey in the middle (%s)', (theme) => {
    const ramp = weightsRamp(theme).map(rgbToOklab)
    for (let step = 0; step < 127; step++) {
      expect(Math.abs((ramp[step]?.[0] ?? 0) - (ramp[254 - step]?.[0] ?? 1))).toBeLessThan(0.008)
    }
    expect(Math.hypot(ramp[127]?.[1] ?? 1, ramp[127]?.[2] ?? 1)).toBeLessThan(0.002)
  })

  it.each([
    ['light', '#803200', '#034b95'],
    ['dark', '#ffa666', '#80c5ff'],
  ] as const)('ends in the orange and the blue of the page (%s)', (theme, negative, positive) => {
    const ramp = weightsRamp(theme)
    const ends = [toHex(ramp[0] ?? [0, 0, 0]), toHex(ramp[254] ?? [0, 0, 0])] as const
    expect(distance('normal', ends[0], negative)).toBeLessThan(1.5)
    expect(distance('normal', ends[1], positive)).toBeLessThan(1.5)
    for (const vision of visions) expect(distance(vision, ...ends), vision).toBeGreaterThanOrEqual(19.5)
  })

  it('puts zero in the middle and clips what lies beyond the scale', () => {
    expect([-9, -1, 0, 1, 9].map((value) => divergingStep(value, 1))).toEqual([0, 0, 127, 254, 254])
    expect(divergingStep(0, 0)).toBe(127)
  })

  it('ends its scale at the 99.5th percentile of |w| over all matrices', () => {
    const values = Float64Array.from({ length: 1000 }, (_, i) => (i % 2 ? -1 : 1) * (i + 1))
    const scale = weightsScale([{ values: values.subarray(0, 300) }, { values: values.subarray(300) }])
    expect(scale).toEqual({ end: 995, largest: 1000 })
    expect(weightsScale([])).toEqual({ end: 0, largest: 0 })
  })
})
