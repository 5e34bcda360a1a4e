/**
 * IEEE 754 binary16, as attention maps above 128 tokens are stored. Rounded to nearest, ties to even, so that a stored
 * probability is within half a unit in the last place of the computed one: at most 2^-12 = 2.45e-4 below 1.
 */

const scratch = new Float32Array(1)
const scratchBits = new Uint32Array(scratch.buffer)

/** Half-float bits of a float32. NaN stays NaN, what is too large becomes an infinity. */
export function toHalfBits(value: number): number {
  scratch[0] = value
  return roundBits(scratchBits[0] ?? 0)
}

/** From the 32 bits of a float32 to the 16 of the nearest half-float. */
function roundBits(bits: number): number {
  const sign = (bits >>> 16) & 0x8000
  const magnitude = bits & 0x7fffffff
  if (magnitude >= 0x47800000) {
    // 2^16 and above, infinity and NaN.
    return sign | (magnitude > 0x7f800000 ? 0x7e00 : 0x7c00)
  }
  if (magnitude >= 0x38800000) {
    // Normal: 13 bits of the fraction go. A carry runs into the exponent, which is what rounding up to 2^n means.
    return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13)
  }
  if (magnitude < 0x33000000) return sign
  // Subnormal: units of 2^-24.
  const shift = 126 - (magnitude >>> 23)
  const fraction = (magnitude & 0x7fffff) | 0x800000
  const kept = fraction >>> shift
  const lost = fraction & ((1 << shift) - 1)
  const half = 1 << (shift - 1)
  return sign | (kept + (lost > half || (lost === half && (kept & 1) === 1) ? 1 : 0))
}

/** The number that half-float bits stand for. */
export function fromHalfBits(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >> 10) & 0x1f
  const fraction = bits & 0x3ff
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

/** Encodes a run of values; `into` may be a part of a larger array. */
export function encodeHalves(values: Float32Array, into: Uint16Array = new Uint16Array(values.length)): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length)
  for (let i = 0; i < bits.length; i++) into[i] = roundBits(bits[i] ?? 0)
  return into
}

let decoded: Float32Array | null = null

/** Decodes a run of half-floats by a table of all 65,536, made at first use. */
export function decodeHalves(halves: Uint16Array, into: Float32Array = new Float32Array(halves.length)): Float32Array {
  decoded ??= Float32Array.from({ length: 0x10000 }, (_, bits) => fromHalfBits(bits))
  for (let i = 0; i < halves.length; i++) into[i] = decoded[halves[i] ?? 0] ?? 0
  return into
}
