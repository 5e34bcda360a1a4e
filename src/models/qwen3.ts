import { ropeOf } from '../architecture/rope.ts'
import type { GraphBuilder, Value } from '../onnx/graph.ts'
import { add } from '../onnx/ops.ts'
import { flag, kvShapeOf, requireNeutral } from './config-fields.ts'
import { embed, languageModelHead } from './embedding.ts'
import type { ModelBuilder, ModelFamily } from './family.ts'
import { findActivation, gatedMlp } from './mlp.ts'
import { rmsNorm } from './norm.ts'
import { type RotaryTable, requireWholeRope, rotaryTable } from './rope.ts'
import { selfAttention } from './self-attention.ts'

/**
 * Qwen3 (Yang et al. 2025, section 2): Llama whose query and key heads are RMS-normed, each by itself, before they are
 * turned. Where `use_sliding_window` is on, layers from `max_window_layers` on have a window.
 */
export const qwen3: ModelFamily = {
  family: 'qwen3',

  check(config) {
    findActivation(config.activation)
    for (let layer = 0; layer < config.layers; layer++) kvShapeOf(config, layer)
    flag(config, 'attention_bias', false)
    requireWholeRope(config)
    requireNeutral(config, {
      mlp_bias: [false],
      quantization_config: [],
    })
  },

  hidden(model) {
    const { config, graph } = model
    const g = graph.at('model')
    const table = rotaryTable(g.at('rotary'), model.positions, ropeOf(config))
    let x = embed(model, g.at('embed_tokens'), model.tokens, 'model.embed_tokens.weight', config.vocabularySize)
    for (let layer = 0; layer < config.layers; layer++) x = block(model, g.at(`layers.${layer}`), x, layer, table)
    return x // [B, S, hidden]
  },

  logits(model, hidden) {
    const normed = rmsNorm(model, model.graph.at('model').at('norm'), hidden, 'model.norm')
    return languageModelHead(model, model.graph.at('lm_head'), normed, 'model.embed_tokens.weight', 'lm_head.weight')
  },
}

function block(model: ModelBuilder, g: GraphBuilder, x: Value, layer: number, table: RotaryTable): Value {
  const name = `model.layers.${layer}`
  const bias = flag(model.config, 'attention_bias', false)
  const form = { bias, outputBias: bias, table, headNorm: {} }
  const normed = rmsNorm(model, g.at('input_layernorm'), x, `${name}.input_layernorm`)
  const attended = add(g.at('attn'), x, selfAttention(model, g.at('attn'), normed, layer, `${name}.self_attn`, form))
  const again = rmsNorm(model, g.at('post_attention_layernorm'), attended, `${name}.post_attention_layernorm`)
  return add(g.at('mlp'), attended, gatedMlp(model, g.at('mlp'), again, `${name}.mlp`, false))
}
