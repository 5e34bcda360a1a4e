import { AppError } from '../errors.ts'
import type { GraphBuilder, Value } from '../onnx/graph.ts'
import { gelu, multiply, relu, silu } from '../onnx/ops.ts'
import type { ModelBuilder } from './family.ts'
import { conv1d, linear } from './linear.ts'

/** Activations in config.json's spelling. gelu_new and gelu_fast are the tanh form of GELU (Hendrycks and Gimpel 2016). */
const activations: Readonly<Record<string, (g: GraphBuilder, x: Value) => Value>> = {
  gelu: (g, x) => gelu(g, x, 'none'),
  gelu_new: (g, x) => gelu(g, x, 'tanh'),
  gelu_fast: (g, x) => gelu(g, x, 'tanh'),
  gelu_pytorch_tanh: (g, x) => gelu(g, x, 'tanh'),
  relu,
  silu,
  swish: silu,
}

/** @throws AppError CONFIG_UNSUPPORTED */
export function findActivation(name: string): (g: GraphBuilder, x: Value) => Value {
  const activation = Object.hasOwn(activations, name) ? activations[name] : undefined
  if (activation) return activation
  throw new AppError(
    'CONFIG_UNSUPPORTED',
    `the activation ${JSON.stringify(name)} is not one that kvscope computes`,
    `It computes ${Object.keys(activations).join(', ')}.`,
  )
}

/** GPT-2's MLP: up to the intermediate size, activation, down. x: [B, S, hiddenSize] -> the same */
export function mlp(model: ModelBuilder, g: GraphBuilder, x: Value, name: string): Value {
  const { hiddenSize, intermediateSize, activation } = model.config
  const up = conv1d(model, g.at('c_fc'), x, `${name}.c_fc`, { inputs: hiddenSize, outputs: intermediateSize })
  const activated = findActivation(activation)(g, up) // [B, S, intermediateSize]
  return conv1d(model, g.at('c_proj'), activated, `${name}.c_proj`, { inputs: intermediateSize, outputs: hiddenSize })
}

/** The same with Linear layers, by the names that the family gives them. x: [B, S, hiddenSize] -> the same */
export function linearMlp(
  model: ModelBuilder,
  g: GraphBuilder,
  x: Value,
  name: string,
  { up, down, bias }: { up: string; down: string; bias: boolean },
): Value {
  const { hiddenSize, intermediateSize, activation } = model.config
  const widen = { inputs: hiddenSize, outputs: intermediateSize, bias }
  const wide = findActivation(activation)(g, linear(model, g.at(up), x, `${name}.${up}`, widen)) // [B, S, intermediateSize]
  const narrow = { inputs: intermediateSize, outputs: hiddenSize, bias }
  return linear(model, g.at(down), wide, `${name}.${down}`, narrow)
}

/** down(activation(gate(x)) * up(x)), SwiGLU where the activation is silu (Shazeer 2020, eq. 6). x: [B, S, hiddenSize] */
export function gatedMlp(model: ModelBuilder, g: GraphBuilder, x: Value, name: string, bias: boolean): Value {
  const parts = { gate: `${name}.gate_proj`, up: `${name}.up_proj`, down: `${name}.down_proj` }
  return gatedParts(model, g, x, { ...parts, inner: model.config.intermediateSize, bias })
}

/** Where a gated MLP lies, names without `.weight`, and how wide it is inside. */
export interface GatedParts {
  gate: string
  up: string
  down: string
  inner: number
  bias: boolean
}

/** The same by the names and the width given. x: [..., hiddenSize] -> the same */
export function gatedParts(
  model: ModelBuilder,
  g: GraphBuilder,
  x: Value,
  { gate, up, down, inner, bias }: GatedParts,
): Value {
  const { hiddenSize, activation } = model.config
  const widen = { inputs: hiddenSize, outputs: inner, bias }
  const opened = findActivation(activation)(g, linear(model, g.at('gate_proj'), x, gate, widen)) // [..., inner]
  const gated = multiply(g, opened, linear(model, g.at('up_proj'), x, up, widen))
  return linear(model, g.at('down_proj'), gated, down, { inputs: inner, outputs: hiddenSize, bias })
}
