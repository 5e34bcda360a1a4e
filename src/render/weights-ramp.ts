import { oklch, type Rgb } from './colour-space.ts'
import type { Theme } from './theme.ts'

/** An odd number of steps, so that zero has a step of its own in the middle. */
const divergingSteps = 255

/** Equal |w| has equal lightness on both sides; hues far apart for every colour vision; the middle is grey. */
const ends = {
  light: { middle: 0.955, end: 0.42, negative: { hue: 45, chroma: 0.12 }, positive: { hue: 255, chroma: 0.137 } },
  dark: { middle: 0.27, end: 0.8, negative: { hue: 55, chroma: 0.132 }, positive: { hue: 245, chroma: 0.108 } },
} as const

const ramps = new Map<Theme, readonly Rgb[]>()

/** The diverging ramp of weights and differences: 255 colours, the middle one is zero's. */
export function weightsRamp(theme: Theme): readonly Rgb[] {
  const known = ramps.get(theme)
  if (known !== undefined) return known
  const { middle, end, negative, positive } = ends[theme]
  const half = (divergingSteps - 1) / 2
  const ramp = Array.from({ length: divergingSteps }, (_, step) => {
    const t = (step - half) / half
    const side = t < 0 ? negative : positive
    const size = Math.abs(t)
    return oklch(middle + (end - middle) * size, side.chroma * Math.min(1, 1.35 * size), side.hue)
  })
  ramps.set(theme, ramp)
  return ramp
}

/** The step, 0 to 254, of a value on a scale from -end to +end; what lies beyond takes the end's colour. */
export function divergingStep(value: number, end: number): number {
  const half = (divergingSteps - 1) / 2
  if (end === 0) return half
  return half + Math.round(half * Math.min(1, Math.max(-1, value / end)))
}

/** The scale of a weights picture, symmetric about 0, and what it leaves out. */
export interface WeightsScale {
  /** the 99.5th percentile of |w|: colours reach from -end to +end */
  end: number
  /** the greatest |w| */
  largest: number
}

/**
 * One scale for all the matrices of a picture: its end is the 99.5th percentile of |w| over all their values, so that a
 * few outliers do not bleach the rest. Values are ranked by nearest rank.
 */
export function weightsScale(matrices: readonly { values: ArrayLike<number> }[]): WeightsScale {
  let count = 0
  for (const { values } of matrices) count += values.length
  const sizes = new Float64Array(count)
  let at = 0
  for (const { values } of matrices) {
    for (let i = 0; i < values.length; i++) sizes[at++] = Math.abs(values[i] ?? 0)
  }
  sizes.sort()
  return { end: sizes[Math.max(0, Math.ceil(0.995 * count) - 1)] ?? 0, largest: sizes[count - 1] ?? 0 }
}
