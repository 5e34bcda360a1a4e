import type { ModelConfig } from '../architecture/model-config.ts'
import type { GraphBuilder, Value } from '../onnx/graph.ts'
import { add, cast, concat, cosine, multiply, negate, reshape, sine, split } from '../onnx/ops.ts'
import { refuse } from './config-fields.ts'

/** Cosines and sines of one step's rotary angles, [S, w] each: the same for every head and sequence. */
export interface RotaryTable {
  cos: Value
  sin: Value
  /** w: how many values of a head are turned, from its first on; the others stay as they are */
  width: number
}

/** By how much positions turn a head's values. */
export interface RotarySpec {
  /** values of a head that are turned: the head dim, or less of it (Black et al. 2022, section 2.1.1) */
  width: number
  /** base of the frequencies */
  theta: number
}

/**
 * angle[s, i] = position[s] * theta^(-2i / w), i = 0..w/2-1, given twice side by side (Su et al. 2021, eq. 15, in the
 * rotate_half order of Hugging Face checkpoints). Computed in float32, as transformers does.
 */
export function rotaryTable(g: GraphBuilder, positions: Value, { width, theta }: RotarySpec): RotaryTable {
  const frequencies = Array.from({ length: width / 2 }, (_, i) => theta ** ((-2 * i) / width))
  const column = reshape(g, cast(g, positions, 'float32'), [-1, 1]) // [S, 1]
  const angles = multiply(g, column, g.floats(frequencies, [1, width / 2])) // [S, w/2]
  const both = concat(g, [angles, angles], -1) // [S, w]
  return { cos: cosine(g, both), sin: sine(g, both), width }
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
