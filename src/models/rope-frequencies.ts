import type { RotarySpec } from '../architecture/rope.ts'
import type { RopeScaling } from '../architecture/rope-scaling.ts'

type Frequencies = readonly number[]

/**
 * theta^(-2i / w) for i = 0..w/2-1 (Su et al. 2021, eq. 15), each step rounded to float32 as transformers rounds it: an
 * error of a frequency grows with the position, and at 100,000 a unit in the last place shows in the fifth digit of a
 * cosine.
 */
export function plainFrequencies(width: number, theta: number): number[] {
  return powers(width, theta).map((power) => single(1 / power))
}

/** Frequencies of every scaling that needs no more than the config to be known. */
export function scaledFrequencies(
  { width, theta }: RotarySpec,
  scaling: Exclude<RopeScaling, { type: 'dynamic' | 'longrope' }>,
): number[] {
  switch (scaling.type) {
    case 'linear':
      return plainFrequencies(width, theta).map((frequency) => single(frequency / scaling.factor))
    case 'yarn':
      return yarn(width, theta, scaling)
    case 'llama3':
      return plainFrequencies(width, theta).map((frequency) => llama3(frequency, scaling))
  }
}

/** The frequencies with one divisor each, in LongRoPE's order of steps (Ding et al. 2024). */
export function dividedFrequencies(width: number, theta: number, divisors: Frequencies): number[] {
  return powers(width, theta).map((power, i) => single(1 / single(single(divisors[i] ?? 1) * power)))
}

const single = Math.fround

/** theta^(2i / w) */
function powers(width: number, theta: number): number[] {
  return Array.from({ length: width / 2 }, (_, i) => single(single(theta) ** single((2 * i) / width)))
}

/**
 * Peng et al. 2023, section 3.2 ("NTK-by-parts"): a frequency that turns more than betaFast times within the trained
 * length stays, one that turns less than betaSlow times is divided by the factor, and between them a ramp blends.
 */
function yarn(width: number, theta: number, scaling: RopeScaling & { type: 'yarn' }): number[] {
  const { factor, originalLength, betaFast, betaSlow, truncate } = scaling
  /** where along the frequencies one turns so often: the i of eq. 15, not whole */
  const placeOf = (rotations: number) =>
    (width * Math.log(originalLength / (rotations * 2 * Math.PI))) / (2 * Math.log(theta))
  const [first, last] = truncate
    ? [Math.floor(placeOf(betaFast)), Math.ceil(placeOf(betaSlow))]
    : [placeOf(betaFast), placeOf(betaSlow)]
  const [low, high] = [Math.max(first, 0), Math.min(last, width - 1)]
  const span = low === high ? 0.001 : high - low
  return powers(width, theta).map((power, i) => {
    const ramp = Math.min(1, Math.max(0, single(single(i - low) / single(span))))
    const [kept, divided] = [single(1 / power), single(1 / single(single(factor) * power))]
    const share = single(1 - ramp)
    return single(single(divided * single(1 - share)) + single(kept * share))
  })
}

/** Llama 3.1: wavelengths beyond originalLength / lowFrequencyFactor are stretched, short ones stay, between them a blend. */
function llama3(frequency: number, scaling: RopeScaling & { type: 'llama3' }): number {
  const { factor, originalLength, lowFrequencyFactor, highFrequencyFactor } = scaling
  const wavelength = single(single(2 * Math.PI) / frequency)
  if (wavelength < originalLength / highFrequencyFactor) return frequency
  if (wavelength > originalLength / lowFrequencyFactor) return single(frequency / factor)
  const smooth = single(
    single(single(originalLength / wavelength) - lowFrequencyFactor) / (highFrequencyFactor - lowFrequencyFactor),
  )
  return single(single(single(single(1 - smooth) * frequency) / factor) + single(smooth * frequency))
}
