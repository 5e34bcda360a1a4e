import { createHash } from 'node:crypto'

/**
 * Standard normal numbers with random access: value i of a stream depends on (seed, stream name, i) alone, so tensors
 * may be drawn in any order and in chunks of any size.
 *
 * A stream is cut into blocks; each block starts its own xoshiro128++ (Blackman and Vigna, Scrambled Linear
 * Pseudorandom Number Generators, ACM TOMS 47(4), 2021) from the first 128 bits of sha256(seed, name, block). Its 32-bit
 * outputs become normals by the ziggurat (Marsaglia and Tsang, J. Stat. Software 5(8), 2000) with 256 layers. As Doornik
 * asks (An Improved Ziggurat Method to Generate Normal Random Samples, 2005), the layer and the value come from
 * different bits of the output: 8 choose the layer, 24 are the value, which is all that a float32 can hold.
 */

/** Part of every synthetic checkpoint's identity: change it whenever the numbers change. */
export const normalGenerator = 'xoshiro128++/ziggurat256/1'

const blockValues = 65_536
const layers = 256

/** Where the base layer's rectangle ends, and the area of every layer, for 256 layers of exp(-x²/2). */
const tailStart = 3.6541528853610088
const layerArea = 0.00492867323399
/** Values are signed 24-bit integers, so a layer's width is scaled by 2^23. */
const half = 2 ** 23

/** Right edge of each layer (edge[0] is the base layer's virtual one) and the density there. */
const edges = new Float64Array(layers + 1)
const densities = new Float64Array(layers + 1)
/** |value| below it lies wholly under the curve, whatever the height drawn. */
const insideBelow = new Int32Array(layers)
/** value x width: the number itself. */
const widths = new Float64Array(layers)

const density = (x: number) => Math.exp(-0.5 * x * x)

edges[0] = layerArea / density(tailStart)
edges[1] = tailStart
for (let i = 2; i < layers; i++) {
  const previous = edges[i - 1] ?? 0
  edges[i] = Math.sqrt(-2 * Math.log(layerArea / previous + density(previous)))
}
edges[layers] = 0
for (let i = 0; i <= layers; i++) densities[i] = density(edges[i] ?? 0)
for (let i = 0; i < layers; i++) {
  const edge = edges[i] ?? 0
  insideBelow[i] = Math.floor(((edges[i + 1] ?? 0) / edge) * half)
  widths[i] = edge / half
}

/** Draws `out.length` numbers from N(0, deviation²): values start, start + 1, ... of the stream (seed, name). */
export function fillNormal(out: Float32Array, start: number, seed: number, name: string, deviation: number): void {
  let filled = 0
  while (filled < out.length) {
    const at = start + filled
    const skip = at % blockValues
    const count = Math.min(blockValues - skip, out.length - filled)
    seedBlock(seed, name, Math.floor(at / blockValues))
    if (skip > 0) fillFromState(dropped.subarray(0, skip), 1)
    fillFromState(out.subarray(filled, filled + count), deviation)
    filled += count
  }
}

/** Takes the values of a block before the first one asked for. */
const dropped = new Float32Array(blockValues)

function seedBlock(seed: number, name: string, block: number): void {
  const digest = createHash('sha256').update(`${normalGenerator}\0${seed}\0${name}\0${block}`).digest()
  for (let i = 0; i < 4; i++) state[i] = digest.readInt32LE(4 * i)
}

/** The generator's 128 bits between calls; `fillToEdge` keeps them in locals while it loops. */
const state = new Int32Array(4)

/** One step of xoshiro128++ on `state`: a uniform in (0, 1). */
function nextUniform(): number {
  const a = state[0] ?? 0
  const b = state[1] ?? 0
  const c = state[2] ?? 0
  const d = state[3] ?? 0
  const sum = (a + d) | 0
  const output = (((sum << 7) | (sum >>> 25)) + a) >>> 0
  const last = d ^ b
  state[2] = c ^ a ^ (b << 9)
  state[1] = b ^ c ^ a
  state[0] = a ^ last
  state[3] = (last << 11) | (last >>> 21)
  return (output + 0.5) / 2 ** 32
}

/**
 * The ziggurat's rare way out (about 1 value in 80): the draw fell on a layer's edge, where the curve decides.
 * @returns the number, or null: draw again
 */
function settleOnEdge(layer: number, value: number): number | null {
  if (layer > 0) {
    const low = densities[layer] ?? 0
    const high = densities[layer + 1] ?? 0
    return low + nextUniform() * (high - low) < density(value) ? value : null
  }
  // Marsaglia's tail: exponentials beyond tailStart, accepted under the curve.
  let x = 0
  let y = 0
  do {
    x = -Math.log(nextUniform()) / tailStart
    y = -Math.log(nextUniform())
  } while (y + y < x * x)
  return value < 0 ? -(tailStart + x) : tailStart + x
}

/** The output of the generator that `fillToEdge` stopped at. */
let edgeOutput = 0

/**
 * The ziggurat's fast way, 79 values of 80: fills out[from ..] until a draw falls on a layer's edge.
 * @returns where it stopped: `out.length`, or the index that `edgeOutput` is to settle
 */
function fillToEdge(out: Float32Array, from: number, deviation: number): number {
  // The generator's step is written out here and its state kept in locals: a call for each value doubles the time.
  let a = (state[0] ?? 0) | 0
  let b = (state[1] ?? 0) | 0
  let c = (state[2] ?? 0) | 0
  let d = (state[3] ?? 0) | 0
  let i = from
  for (; i < out.length; i++) {
    const sum = (a + d) | 0
    const output = (((sum << 7) | (sum >>> 25)) + a) | 0
    const shifted = b << 9
    c ^= a
    d ^= b
    b ^= c
    a ^= d
    c ^= shifted
    d = (d << 11) | (d >>> 21)

    const layer = output & 255
    const drawn = output >> 8
    // Compared as integers and without a branch on the sign, which no processor can predict.
    if ((Math.abs(drawn) | 0) >= (insideBelow[layer] ?? 0)) {
      edgeOutput = output
      break
    }
    out[i] = drawn * (widths[layer] ?? 0) * deviation
  }
  state[0] = a
  state[1] = b
  state[2] = c
  state[3] = d
  return i
}

function fillFromState(out: Float32Array, deviation: number): void {
  let i = fillToEdge(out, 0, deviation)
  while (i < out.length) {
    const settled = settleOnEdge(edgeOutput & 255, (edgeOutput >> 8) * (widths[edgeOutput & 255] ?? 0))
    if (settled !== null) out[i++] = settled * deviation
    i = fillToEdge(out, i, deviation)
  }
}
