import { oklch, type Rgb } from './colour-space.ts'
import { fromHalfBits } from './half-float.ts'
import { type AttentionKind, kindStyles } from './kind-style.ts'
import type { Theme } from './theme.ts'

export const rampSteps = 256

/** OKLCH lightness of the first and last step: more is always further from the page. */
const lightness: Record<Theme, readonly [first: number, last: number]> = { light: [0.975, 0.24], dark: [0.245, 0.97] }

/**
 * The sequential ramp of a kind: 256 colours in equal steps of OKLCH lightness, so that grey print and every colour vision
 * keep the order. Chroma is a bow that gives the middle of the ramp its colour; the hue turns by 20 degrees along it,
 * which sets near steps further apart.
 */
export function attentionRamp(kind: AttentionKind, theme: Theme): readonly Rgb[] {
  return remember(`${kind} ${theme}`, () => {
    const { hue } = kindStyles[kind]
    const [first, last] = lightness[theme]
    return Array.from({ length: rampSteps }, (_, step) => {
      const t = step / (rampSteps - 1)
      const turn = (theme === 'dark' ? 20 : -20) * (t - 0.5)
      return oklch(first + (last - first) * t, 0.165 * Math.sin(Math.PI * (0.04 + 0.9 * t)), hue + turn)
    })
  })
}

const ramps = new Map<string, readonly Rgb[]>()

function remember(key: string, make: () => readonly Rgb[]): readonly Rgb[] {
  const known = ramps.get(key)
  if (known !== undefined) return known
  const made = make()
  ramps.set(key, made)
  return made
}

/**
 * Where a probability lies on the ramp, 0 to 1: p^0.4. Attention is heavy-tailed; this gives 0.01 a sixth of the ramp
 * instead of a hundredth. It is the same for all runs, so that pictures compare.
 */
export function rampPosition(probability: number): number {
  return Math.min(1, Math.max(0, probability)) ** 0.4
}

/** The step of the ramp, 0 to 255, that a probability is drawn in. */
export function rampStep(probability: number): number {
  return Math.round((rampSteps - 1) * rampPosition(probability))
}

/** The bits of the half-float 1: those of every probability lie from 0 to here. */
export const halfBitsOfOne = 0x3c00

/**
 * For each of the 15,361 half-floats from 0 to 1 the colour as a little-endian word of RGBA, as canvas pixels are. It
 * replaces decoding: a tile of half-floats is painted by looking its bits up.
 */
export function attentionColourTable(kind: AttentionKind, theme: Theme): Uint32Array {
  const ramp = attentionRamp(kind, theme)
  return Uint32Array.from({ length: halfBitsOfOne + 1 }, (_, bits) => {
    const [red, green, blue] = ramp[rampStep(fromHalfBits(bits))] ?? [0, 0, 0]
    return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0
  })
}
