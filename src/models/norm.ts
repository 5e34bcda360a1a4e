import type { GraphBuilder, Value } from '../onnx/graph.ts'
import { add, layerNormalization, rmsNormalization } from '../onnx/ops.ts'
import type { ModelBuilder } from './family.ts'

/** Layer normalisation over the hidden size, with gain and bias (Ba et al. 2016). x: [B, S, hiddenSize] */
export function layerNorm(model: ModelBuilder, g: GraphBuilder, x: Value, name: string): Value {
  const { hiddenSize, normEpsilon } = model.config
  const weight = model.weight(`${name}.weight`, [hiddenSize])
  return layerNormalization(g, x, weight, model.weight(`${name}.bias`, [hiddenSize]), normEpsilon)
}

export interface RmsNormForm {
  /** values of one vector, the last axis of x; the hidden size unless said */
  width?: number
  /** the gain is 1 + weight, as Gemma stores it, and not the weight itself */
  unitOffset?: boolean
  /** the config's unless said */
  epsilon?: number
}

/**
 * Root mean square normalisation over the last axis: no mean, no bias (Zhang and Sennrich 2019, eq. 4).
 * @param x [..., width]: hidden states [B, S, hiddenSize], or heads [B, n, S, headDim] where each is normed by itself
 */
export function rmsNorm(
  model: ModelBuilder,
  g: GraphBuilder,
  x: Value,
  name: string,
  { width = model.config.hiddenSize, unitOffset = false, epsilon = model.config.normEpsilon }: RmsNormForm = {},
): Value {
  const weight = model.weight(`${name}.weight`, [width])
  // Of weights alone: the runtime computes it once, at load.
  const gain = unitOffset ? add(g.at('gain'), weight, g.floats([1])) : weight
  return rmsNormalization(g, x, gain, epsilon)
}
