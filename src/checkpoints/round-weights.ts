import { encodeHalves } from '../render/half-float.ts'

/** The element types that take half of a float32. */
export type NarrowDtype = 'F16' | 'BF16'

/**
 * Rounds float32 values to 16 bits, to nearest with ties to even (IEEE 754, section 4.3.1): F16 is binary16, BF16 the
 * upper half of a float32. NaN and infinities stay what they are.
 * @param into as many words as there are values
 * @returns the place of the first finite value that is too large and became an infinity; -1 where there is none
 */
export function roundWeights(values: Float32Array, dtype: NarrowDtype, into: Uint16Array): number {
  if (dtype === 'F16') encodeHalves(values, into)
  else encodeBrains(values, into)
  const infinity = dtype === 'F16' ? 0x7c00 : 0x7f80
  for (let at = 0; at < values.length; at++) {
    if (((into[at] ?? 0) & 0x7fff) === infinity && Number.isFinite(values[at])) return at
  }
  return -1
}

function encodeBrains(values: Float32Array, into: Uint16Array): void {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length)
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? 0
    const isNan = (word & 0x7fffffff) > 0x7f800000
    // A NaN whose fraction lies in the lost half would become an infinity: the quiet bit keeps it one.
    into[at] = isNan ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16
  }
}
