import type { ModelConfig } from '../architecture/model-config.ts'
import { type RotarySpec, ropeOf } from '../architecture/rope.ts'
import type { GraphBuilder, Value } from '../onnx/graph.ts'
import {
  add,
  cast,
  concat,
  cosine,
  divide,
  greater,
  lastOf,
  maximum,
  multiply,
  negate,
  power,
  reshape,
  sine,
  split,
  transpose,
  where,
} from '../onnx/ops.ts'
import { refuse } from './config-fields.ts'
import { dividedFrequencies, plainFrequencies, scaledFrequencies } from './rope-frequencies.ts'

/** Cosines and sines of one step's rotary angles, [S, w] each: the same for every head and sequence. */
export interface RotaryTable {
  cos: Value
  sin: Value
  /** w: how many values of a head are turned, from its first on; the others stay as they are */
  width: number
}

/**
 * angle[s, i] = position[s] * frequency[i], i = 0..w/2-1, given twice side by side (Su et al. 2021, eq. 15, in the
 * rotate_half order of Hugging Face checkpoints). Computed in float32, as transformers does. Frequencies that depend on
 * the length (dynamic, longrope) are those of the step's last position, for all its tokens; keys already cached stay as
 * they were turned, so that a prompt in chunks may differ from one in one piece, as it does in transformers.
 */
export function rotaryTable(g: GraphBuilder, positions: Value, spec: RotarySpec): RotaryTable {
  const { width, scaling } = spec
  const column = reshape(g, cast(g, positions, 'float32'), [-1, 1]) // [S, 1]
  const angles = multiply(g, column, frequenciesOf(g, positions, spec)) // [S, w/2]
  const both = concat(g, [angles, angles], -1) // [S, w]
  const attentionFactor = scaling && 'attentionFactor' in scaling ? scaling.attentionFactor : 1
  const scaled = (x: Value) => (attentionFactor === 1 ? x : multiply(g, x, g.floats([attentionFactor])))
  return { cos: scaled(cosine(g, both)), sin: scaled(sine(g, both)), width }
}

/** [1, w/2] */
function frequenciesOf(g: GraphBuilder, positions: Value, spec: RotarySpec): Value {
  const { width, theta, scaling } = spec
  const row = (values: readonly number[]) => g.floats(values, [1, width / 2])
  if (scaling === undefined) return row(plainFrequencies(width, theta))
  if (scaling.type === 'longrope') {
    const { shortFactors, longFactors, originalLength } = scaling
    const long = greater(g, lengthOf(g, positions), g.floats([originalLength]))
    const divided = (factors: readonly number[]) => row(dividedFrequencies(width, theta, factors))
    return where(g, long, divided(longFactors), divided(shortFactors))
  }
  if (scaling.type === 'dynamic') {
    const { factor, trainedLength } = scaling
    const length = maximum(g, lengthOf(g, positions), g.floats([trainedLength]))
    const stretched = divide(g, multiply(g, length, g.floats([factor])), g.floats([trainedLength]))
    const growth = add(g, stretched, g.floats([1 - factor]))
    // growth^(w / (w - 2)) in two parts: float32 holds the rest of the exponent closer than the whole.
    const base = multiply(g, multiply(g, growth, power(g, growth, g.floats([2 / (width - 2)]))), g.floats([theta]))
    const exponents = Array.from({ length: width / 2 }, (_, i) => (2 * i) / width)
    return divide(g, g.floats([1]), power(g, base, row(exponents)))
  }
  return row(scaledFrequencies(spec, scaling))
}

/** The tokens of a sequence up to the step's last, as float32 [1]. */
function lengthOf(g: GraphBuilder, positions: Value): Value {
  return add(g, cast(g, lastOf(g, positions, 0), 'float32'), g.floats([1]))
}

/**
 * x cos + rotate_half(x) sin over the first `table.width` values of each head, where rotate_half swaps their halves and
 * negates the new first. x: [B, n, S, headDim]
 */
export function rotate(g: GraphBuilder, x: Value, table: RotaryTable, headDim: number): Value {
  const { width } = table
  if (width < headDim) {
    const { turned, rest } = split(g, x, g.integers([width, headDim - width]), ['turned', 'rest'])
    return concat(g, [rotate(g, turned, table, width), rest], -1)
  }
  const { first, second } = split(g, x, g.integers([width / 2, width / 2]), ['first', 'second'])
  const rotated = concat(g, [negate(g, second), first], -1) // [B, n, S, w]
  return add(g, multiply(g, x, table.cos), multiply(g, rotated, table.sin))
}

/**
 * The same where neighbours are turned together, values 2i and 2i + 1 by angle i, as Su et al. have it and DeepSeek's
 * weights are stored. What comes out has the first of all pairs before the second, which no score minds.
 * x: [B, n, S, w] -> the same
 */
export function rotatePairs(g: GraphBuilder, x: Value, table: RotaryTable): Value {
  const { width } = table
  const pairs = reshape(g, x, [0, 0, -1, width / 2, 2])
  const apart = reshape(g, transpose(g, pairs, [0, 1, 2, 4, 3]), [0, 0, -1, width])
  return rotate(g, apart, table, width)
}

/**
 * For families whose heads are turned as a whole, whatever scaling they are given.
 * @throws AppError CONFIG_UNSUPPORTED naming the field
 */
export function requireWholeRope(config: ModelConfig): void {
  const { width } = ropeOf(config)
  if (width !== config.headDim) refuse(config, 'partial_rotary_factor', width / config.headDim)
}

/** @throws AppError CONFIG_UNSUPPORTED where the config has no rotary base */
export function ropeTheta(config: ModelConfig): number {
  return config.ropeTheta ?? refuse(config, 'rope_theta', null)
}

/**
 * rope_scaling of transformers 4, rope_parameters of transformers 5: both may only say "default", and the base as
 * `config.ropeTheta` has it. A family that turns nothing may not scale it either.
 * @throws AppError CONFIG_UNSUPPORTED naming the field
 */
export function requirePlainRope(config: ModelConfig): void {
  const { ropeTheta: theta } = config
  for (const field of ['rope_scaling', 'rope_parameters']) {
    const value = config.raw[field]
    if (value === undefined || value === null) continue
    if (typeof value !== 'object') refuse(config, field, value)
    for (const [key, entry] of Object.entries(value)) {
      const plain =
        key === 'rope_type' || key === 'type'
          ? entry === 'default'
          : key === 'rope_theta' && (theta === null || entry === theta)
      if (!plain) refuse(config, `${field}.${key}`, entry)
    }
  }
}
