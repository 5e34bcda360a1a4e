import { ropeOf } from '../architecture/rope.ts'
import type { GraphBuilder, Value } from '../onnx/graph.ts'
import { add } from '../onnx/ops.ts'
import { requireNeutral } from './config-fields.ts'
import type { ModelBuilder, ModelFamily } from './family.ts'
import { checkGemma, gemmaAttention, gemmaEmbeddings, gemmaLogits, gemmaMlp, gemmaNorm } from './gemma-blocks.ts'
import { type RotaryTable, rotaryTable } from './rope.ts'

/**
 * Gemma (Gemma Team 2024, "Gemma: Open Models Based on Gemini", section 2): Llama with GELU in place of SiLU (GeGLU),
 * embeddings scaled by the root of the hidden size, gains of norms stored less 1, and heads of a width of their own.
 */
export const gemma: ModelFamily = {
  family: 'gemma',

  check(config) {
    checkGemma(config)
    requireNeutral(config, {
      query_pre_attn_scalar: [config.headDim],
      sliding_window: [],
      layer_types: [],
      attn_logit_softcapping: [],
      final_logit_softcapping: [],
    })
  },

  hidden(model) {
    const { config, graph } = model
    const g = graph.at('model')
    const table = rotaryTable(g.at('rotary'), model.positions, ropeOf(config))
    let x = gemmaEmbeddings(model, g)
    for (let layer = 0; layer < config.layers; layer++) x = block(model, g.at(`layers.${layer}`), x, layer, table)
    return x // [B, S, hidden]
  },

  logits: (model, hidden) => gemmaLogits(model, hidden),
}

function block(model: ModelBuilder, g: GraphBuilder, x: Value, layer: number, table: RotaryTable): Value {
  const attention = gemmaAttention(model, g, gemmaNorm(model, g, x, layer, 'input_layernorm'), layer, { table })
  const attended = add(g.at('attn'), x, attention)
  const forward = gemmaMlp(model, g, gemmaNorm(model, g, attended, layer, 'post_attention_layernorm'), layer)
  return add(g.at('mlp'), attended, forward)
}
