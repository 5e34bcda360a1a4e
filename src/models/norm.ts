import type { GraphBuilder, Value } from '../onnx/graph.ts'
import { layerNormalization, rmsNormalization } from '../onnx/ops.ts'
import type { ModelBuilder } from './family.ts'

/** Layer normalisation over the hidden size, with gain and bias (Ba et al. 2016). x: [B, S, hiddenSize] */
export function layerNorm(model: ModelBuilder, g: GraphBuilder, x: Value, name: string): Value {
  const { hiddenSize, normEpsilon } = model.config
  const weight = model.weight(`${name}.weight`, [hiddenSize])
  return layerNormalization(g, x, weight, model.weight(`${name}.bias`, [hiddenSize]), normEpsilon)
}

/** Root mean square normalisation over the hidden size: no mean, no bias (Zhang and Sennrich 2019). x: [B, S, hiddenSize] */
export function rmsNorm(model: ModelBuilder, g: GraphBuilder, x: Value, name: string): Value {
  const { hiddenSize, normEpsilon } = model.config
  return rmsNormalization(g, x, model.weight(`${name}.weight`, [hiddenSize]), normEpsilon)
}
