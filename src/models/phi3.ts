import { ropeOf } from '../architecture/rope.ts'
import type { GraphBuilder, Value } from '../onnx/graph.ts'
import { add, multiply, split } from '../onnx/ops.ts'
import { mergeHeads, splitHeads } from './attention.ts'
import { kvShapeOf, refuse, requireNeutral } from './config-fields.ts'
import type { ModelBuilder, ModelFamily } from './family.ts'
import { linear } from './linear.ts'
import { llamaLogits, rotaryStack } from './llama-stack.ts'
import { findActivation } from './mlp.ts'
import { rmsNorm } from './norm.ts'
import { type RotaryTable, rotate } from './rope.ts'

/**
 * Phi-3 and Phi-4 (Abdin et al. 2024): Llama's blocks with q, k and v in one weight and gate and up in another, a window on
 * every layer, and LongRoPE for long contexts.
 */
export const phi3: ModelFamily = {
  family: 'phi3',

  check(config) {
    findActivation(config.activation)
    for (let layer = 0; layer < config.layers; layer++) kvShapeOf(config, layer)
    const { scaling } = ropeOf(config)
    if (scaling && scaling.type !== 'longrope') refuse(config, 'rope_scaling.type', scaling.type)
    requireNeutral(config, {
      attention_bias: [false],
      mlp_bias: [false],
      lm_head_bias: [false],
      full_attn_mod: [1],
      interpolate_factor: [1],
      quantization_config: [],
    })
  },

  hidden: (model) => rotaryStack(model, block),

  logits: (model, hidden) => llamaLogits(model, { norm: rmsNorm }, hidden),
}

function block(model: ModelBuilder, g: GraphBuilder, x: Value, layer: number, table: RotaryTable): Value {
  const name = `model.layers.${layer}`
  const norm = (part: string, of: Value) => rmsNorm(model, g.at(part), of, `${name}.${part}`)
  const attended = attention(model, g.at('attn'), norm('input_layernorm', x), layer, table)
  const after = add(g.at('attn'), x, attended)
  return add(g.at('mlp'), after, mlp(model, g.at('mlp'), norm('post_attention_layernorm', after), `${name}.mlp`))
}

function attention(model: ModelBuilder, g: GraphBuilder, x: Value, layer: number, table: RotaryTable): Value {
  const { hiddenSize, heads, headDim } = model.config
  const { kvHeads, ...window } = kvShapeOf(model.config, layer)
  const name = `model.layers.${layer}.self_attn`
  const at = g.at('qkv_proj')
  const widened = { inputs: hiddenSize, outputs: (heads + 2 * kvHeads) * headDim, bias: false }
  const fused = linear(model, at, x, `${name}.qkv_proj`, widened) // [B, S, (H + 2 KV) d]
  const parts = split(
    at,
    splitHeads(at, fused, heads + 2 * kvHeads, headDim),
    g.integers([heads, kvHeads, kvHeads]),
    ['query', 'key', 'value'],
    1,
  )
  const spec = { heads, kvHeads, ...window, keyDim: headDim, valueDim: headDim, scale: 1 / Math.sqrt(headDim) }
  const context = model.attend(g, layer, spec, {
    query: rotate(g.at('q_rotary'), parts.query, table, headDim), // [B, H, S, d]
    key: rotate(g.at('k_rotary'), parts.key, table, headDim), // [B, KV, S, d], cached rotated
    value: parts.value, // [B, KV, S, d]
  }) // [B, H, S, d]
  const merged = mergeHeads(g, context, heads, headDim) // [B, S, H d]
  const narrowed = { inputs: heads * headDim, outputs: hiddenSize, bias: false }
  return linear(model, g.at('o_proj'), merged, `${name}.o_proj`, narrowed)
}

/** down(activation(gate) * up), gate and up the halves of one product (Shazeer 2020, eq. 6). x: [B, S, hiddenSize] */
function mlp(model: ModelBuilder, g: GraphBuilder, x: Value, name: string): Value {
  const { hiddenSize, intermediateSize, activation } = model.config
  const widened = { inputs: hiddenSize, outputs: 2 * intermediateSize, bias: false }
  const both = linear(model, g.at('gate_up_proj'), x, `${name}.gate_up_proj`, widened) // [B, S, 2 intermediateSize]
  const { gate, up } = split(g, both, g.integers([intermediateSize, intermediateSize]), ['gate', 'up'])
  const gated = multiply(g, findActivation(activation)(g, gate), up)
  const narrowed = { inputs: intermediateSize, outputs: hiddenSize, bias: false }
  return linear(model, g.at('down_proj'), gated, `${name}.down_proj`, narrowed)
}
