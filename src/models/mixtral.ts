import { readMixtralExperts } from '../architecture/family-mixtral.ts'
import { readFields } from '../architecture/fields.ts'
import type { ModelConfig } from '../architecture/model-config.ts'
import { ropeOf } from '../architecture/rope.ts'
import type { GraphBuilder, Value } from '../onnx/graph.ts'
import { add } from '../onnx/ops.ts'
import { kvShapeOf, requireNeutral } from './config-fields.ts'
import { embed, languageModelHead } from './embedding.ts'
import { type ExpertsSpec, experts } from './experts.ts'
import type { ModelBuilder, ModelFamily } from './family.ts'
import { findActivation } from './mlp.ts'
import { rmsNorm } from './norm.ts'
import { type RotaryTable, requireWholeRope, rotaryTable } from './rope.ts'
import { selfAttention } from './self-attention.ts'

/** Mixtral (Jiang et al. 2024): Llama's attention without biases, and experts in place of the MLP. */
export const mixtral: ModelFamily = {
  family: 'mixtral',

  check(config) {
    findActivation(config.activation)
    for (let layer = 0; layer < config.layers; layer++) kvShapeOf(config, layer)
    requireWholeRope(config)
    requireNeutral(config, {
      attention_bias: [false],
      mlp_bias: [false],
      partial_rotary_factor: [1],
      layer_types: [],
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
  const normed = rmsNorm(model, g.at('input_layernorm'), x, `${name}.input_layernorm`)
  const form = { bias: false, outputBias: false, table }
  const attended = add(g.at('attn'), x, selfAttention(model, g.at('attn'), normed, layer, `${name}.self_attn`, form))
  const again = rmsNorm(model, g.at('post_attention_layernorm'), attended, `${name}.post_attention_layernorm`)
  return add(g.at('moe'), attended, experts(model, g.at('moe'), again, expertsOf(model.config, name)))
}

/** A softmax over all experts, whose best two then share the whole (Jiang et al. 2024, section 2.2). */
function expertsOf({ intermediateSize: inner, raw }: ModelConfig, layer: string): ExpertsSpec {
  const path = `${layer}.block_sparse_moe`
  const routed = readMixtralExperts(readFields(raw))
  return {
    router: { ...routed, name: `${path}.gate`, scores: 'softmax', normalized: true, scale: 1 },
    expert(index) {
      const own = `${path}.experts.${index}`
      return { gate: `${own}.w1`, up: `${own}.w3`, down: `${own}.w2`, inner, bias: false }
    },
  }
}
