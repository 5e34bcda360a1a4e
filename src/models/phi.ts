import { ropeOf } from '../architecture/rope.ts'
import type { GraphBuilder, Value } from '../onnx/graph.ts'
import { add } from '../onnx/ops.ts'
import { kvHeadsOf, requireNeutral } from './config-fields.ts'
import { languageModelHead } from './embedding.ts'
import type { ModelBuilder, ModelFamily } from './family.ts'
import { rotaryStack } from './llama-stack.ts'
import { findActivation, linearMlp } from './mlp.ts'
import { layerNorm } from './norm.ts'
import type { RotaryTable } from './rope.ts'
import { selfAttention } from './self-attention.ts'

/**
 * Phi-1, 1.5 and 2 (Li et al. 2023, "Textbooks Are All You Need II"): attention and MLP side by side behind one layer norm,
 * rotary positions on the first part of each head, biases everywhere, the head's too.
 */
export const phi: ModelFamily = {
  family: 'phi',

  check(config) {
    findActivation(config.activation)
    for (let layer = 0; layer < config.layers; layer++) kvHeadsOf(config, layer)
    ropeOf(config)
    requireNeutral(config, { qk_layernorm: [false], sliding_window: [], quantization_config: [] })
  },

  hidden: (model) => rotaryStack(model, block),

  logits(model, hidden) {
    const { graph, config } = model
    const g = graph.at('lm_head')
    const normed = layerNorm(model, graph.at('model').at('final_layernorm'), hidden, 'model.final_layernorm')
    const product = languageModelHead(model, g, normed, 'model.embed_tokens.weight', 'lm_head.weight')
    return add(g, product, model.weight('lm_head.bias', [config.vocabularySize]))
  },
}

function block(model: ModelBuilder, g: GraphBuilder, x: Value, layer: number, table: RotaryTable): Value {
  const name = `model.layers.${layer}`
  const normed = layerNorm(model, g.at('input_layernorm'), x, `${name}.input_layernorm`)
  const form = { bias: true, outputBias: true, output: 'dense', table }
  const attended = selfAttention(model, g.at('attn'), normed, layer, `${name}.self_attn`, form)
  const forward = linearMlp(model, g.at('mlp'), normed, `${name}.mlp`, { up: 'fc1', down: 'fc2', bias: true })
  return add(g, x, add(g.at('mlp'), attended, forward))
}
