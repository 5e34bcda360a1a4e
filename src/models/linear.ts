import type { GraphBuilder, Value } from '../onnx/graph.ts'
import { add, matMul, matMulTransposed } from '../onnx/ops.ts'
import type { ModelBuilder } from './family.ts'

/** x W^T + b, W as torch's Linear stores it: [out, in]. x: [B, S, in] -> [B, S, out] */
export function linear(
  model: ModelBuilder,
  g: GraphBuilder,
  x: Value,
  name: string,
  { inputs, outputs, bias }: { inputs: number; outputs: number; bias: boolean },
): Value {
  const product = matMulTransposed(g, x, model.weight(`${name}.weight`, [outputs, inputs]), 2)
  return bias ? add(g, product, model.weight(`${name}.bias`, [outputs])) : product
}

/** x W + b, W as GPT-2's Conv1D stores it: [in, out]. x: [B, S, in] -> [B, S, out] */
export function conv1d(
  model: ModelBuilder,
  g: GraphBuilder,
  x: Value,
  name: string,
  { inputs, outputs }: { inputs: number; outputs: number },
): Value {
  const product = matMul(g, x, model.weight(`${name}.weight`, [inputs, outputs]))
  return add(g, product, model.weight(`${name}.bias`, [outputs]))
}
