import { alibiSlopes } from '../heads/alibi-baseline.ts'
import type { GraphBuilder, Value } from '../onnx/graph.ts'
import { cast, multiply } from '../onnx/ops.ts'

/**
 * Attention with linear biases (Press et al. 2022), to be added to scaled scores: slope[h] * position[key] * scale. A
 * softmax cannot tell it from the paper's slope * (key - query): they differ by what a whole row shares.
 *
 * Falcon scales it with the scores, and transformers rounds slopes, positions and their products to bfloat16, so that a
 * position beyond 256 loses its last bits. Fidelity takes the same rounding.
 * @param positions of the keys, [T] int64
 * @returns [1, H, 1, T]
 */
export function alibiBias(g: GraphBuilder, positions: Value, heads: number, scale: number): Value {
  const slopes = rounded(g.at('slopes'), g.floats([...alibiSlopes(heads)], [1, heads, 1, 1]))
  const places = rounded(g.at('positions'), cast(g.at('positions'), positions, 'float32'))
  return multiply(g, rounded(g, multiply(g, slopes, places)), g.floats([scale]))
}

/** To the nearest bfloat16 and back; two of them multiply exactly in float32. */
function rounded(g: GraphBuilder, x: Value): Value {
  return cast(g, cast(g, x, 'bfloat16'), 'float32')
}
