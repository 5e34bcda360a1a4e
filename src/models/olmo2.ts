import type { GraphBuilder, Value } from '../onnx/graph.ts'
import { add } from '../onnx/ops.ts'
import { flag, kvHeadsOf, requireNeutral } from './config-fields.ts'
import type { ModelBuilder, ModelFamily } from './family.ts'
import { llamaLogits, rotaryStack } from './llama-stack.ts'
import { findActivation, gatedMlp } from './mlp.ts'
import { rmsNorm } from './norm.ts'
import { type RotaryTable, requireWholeRope } from './rope.ts'
import { selfAttention } from './self-attention.ts'

/**
 * OLMo 2 (OLMo Team 2024, section 3.1): Llama's projections with norms behind attention and MLP and not before them, and
 * queries and keys normed over all heads together.
 */
export const olmo2: ModelFamily = {
  family: 'olmo2',

  check(config) {
    findActivation(config.activation)
    for (let layer = 0; layer < config.layers; layer++) kvHeadsOf(config, layer)
    flag(config, 'attention_bias', false)
    requireWholeRope(config)
    requireNeutral(config, { clip_qkv: [], sliding_window: [], quantization_config: [] })
  },

  hidden: (model) => rotaryStack(model, block),

  logits: (model, hidden) => llamaLogits(model, { norm: rmsNorm }, hidden),
}

function block(model: ModelBuilder, g: GraphBuilder, x: Value, layer: number, table: RotaryTable): Value {
  const name = `model.layers.${layer}`
  const norm = (part: string, of: Value) => rmsNorm(model, g.at(part), of, `${name}.${part}`)
  const bias = flag(model.config, 'attention_bias', false)
  const form = { bias, outputBias: bias, projectionNorm: true, table }
  const attended = selfAttention(model, g.at('attn'), x, layer, `${name}.self_attn`, form)
  const after = add(g.at('attn'), x, norm('post_attention_layernorm', attended))
  const forward = gatedMlp(model, g.at('mlp'), after, `${name}.mlp`, false)
  return add(g.at('mlp'), after, norm('post_feedforward_layernorm', forward))
}
