import type { GraphBuilder, Value } from '../onnx/graph.ts'
import { mergeHeads, splitHeads } from './attention.ts'
import { kvShapeOf, requireNeutral } from './config-fields.ts'
import type { ModelBuilder, ModelFamily } from './family.ts'
import { gpt2Hidden, gpt2Logits } from './gpt2-stack.ts'
import { linear } from './linear.ts'
import { findActivation, linearMlp } from './mlp.ts'

/**
 * GPT-Neo (Black et al. 2021): GPT-2's stack with linear layers and separate projections. Every other layer is local: it
 * has a window. Scores are not scaled: training drew the weights for that.
 */
export const gptNeo: ModelFamily = {
  family: 'gpt_neo',

  check(config) {
    findActivation(config.activation)
    for (let layer = 0; layer < config.layers; layer++) kvShapeOf(config, layer)
    requireNeutral(config, {
      sliding_window: [],
      layer_types: [],
      quantization_config: [],
    })
  },

  hidden: (model) =>
    gpt2Hidden(model, {
      attention,
      mlp: (builder, g, x, name) => linearMlp(builder, g, x, name, { up: 'c_fc', down: 'c_proj', bias: true }),
    }),
  logits: gpt2Logits,
}

function attention(model: ModelBuilder, g: GraphBuilder, x: Value, layer: number): Value {
  const { hiddenSize, heads, headDim } = model.config
  const kv = kvShapeOf(model.config, layer)
  const name = `h.${layer}.attn.attention`
  const project = (part: string, count: number) => {
    const projection = { inputs: hiddenSize, outputs: count * headDim, bias: false }
    return splitHeads(g.at(part), linear(model, g.at(part), x, `${name}.${part}`, projection), count, headDim)
  }
  const context = model.attend(
    g,
    layer,
    { heads, ...kv, keyDim: headDim, valueDim: headDim, scale: 1 },
    {
      query: project('q_proj', heads), // [B, H, S, d]
      key: project('k_proj', kv.kvHeads), // [B, KV, S, d]
      value: project('v_proj', kv.kvHeads),
    },
  ) // [B, H, S, d]
  const merged = mergeHeads(g, context, heads, headDim) // [B, S, H d]
  const output = { inputs: heads * headDim, outputs: hiddenSize, bias: true }
  return linear(model, g.at('out_proj'), merged, `${name}.out_proj`, output)
}
