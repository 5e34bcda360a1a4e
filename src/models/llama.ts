import { ropeOf } from '../architecture/rope.ts'
import type { GraphBuilder, Value } from '../onnx/graph.ts'
import { add } from '../onnx/ops.ts'
import { flag, kvHeadsOf, requireNeutral } from './config-fields.ts'
import { embed, languageModelHead } from './embedding.ts'
import type { ModelBuilder, ModelFamily } from './family.ts'
import { findActivation, gatedMlp } from './mlp.ts'
import { rmsNorm } from './norm.ts'
import { type RotaryTable, requireWholeRope, rotaryTable } from './rope.ts'
import { selfAttention } from './self-attention.ts'

/** Llama (Touvron et al. 2023): RMS norms, rotary positions, SwiGLU, grouped K/V heads, separate projections. */
export const llama: ModelFamily = {
  family: 'llama',

  check(config) {
    findActivation(config.activation)
    for (let layer = 0; layer < config.layers; layer++) kvHeadsOf(config, layer)
    flag(config, 'attention_bias', false)
    flag(config, 'mlp_bias', false)
    requireWholeRope(config)
    requireNeutral(config, {
      sliding_window: [],
      use_sliding_window: [false],
      partial_rotary_factor: [1],
      rope_interleaved: [false],
      quantization_config: [],
      attn_logit_softcapping: [],
      final_logit_softcapping: [],
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
  const normed = rmsNorm(model, g.at('input_layernorm'), x, `${name}.input_layernorm`)
  const attention = flag(model.config, 'attention_bias', false)
  const form = { bias: attention, outputBias: attention, table }
  const attended = add(g.at('attn'), x, selfAttention(model, g.at('attn'), normed, layer, `${name}.self_attn`, form))
  const again = rmsNorm(model, g.at('post_attention_layernorm'), attended, `${name}.post_attention_layernorm`)
  const bias = flag(model.config, 'mlp_bias', false)
  return add(g.at('mlp'), attended, gatedMlp(model, g.at('mlp'), again, `${name}.mlp`, bias))
}
