import type { GraphBuilder, Value } from '../onnx/graph.ts'
import { mergeHeads } from './attention.ts'
import { kvHeadsOf, requireNeutral } from './config-fields.ts'
import type { ModelBuilder, ModelFamily } from './family.ts'
import { fusedWidth, splitGroups } from './fused-projection.ts'
import { gpt2Hidden, gpt2Logits } from './gpt2-stack.ts'
import { linear } from './linear.ts'
import { findActivation, linearMlp } from './mlp.ts'

/**
 * GPT-BigCode (Ben Allal et al. 2023; StarCoder: Li et al. 2023): GPT-2's stack with Linear layers, and one K/V head for
 * all query heads. With `multi_query` false c_attn's rows are per head [q, k, v], unlike GPT-2's.
 */
export const gptBigCode: ModelFamily = {
  family: 'gpt_bigcode',

  check(config) {
    findActivation(config.activation)
    for (let layer = 0; layer < config.layers; layer++) kvHeadsOf(config, layer)
    requireNeutral(config, { scale_attn_weights: [true], add_cross_attention: [false], quantization_config: [] })
  },

  hidden: (model) =>
    gpt2Hidden(model, {
      attention,
      mlp: (of, g, x, name) => linearMlp(of, g, x, name, { up: 'c_fc', down: 'c_proj', bias: true }),
    }),
  logits: gpt2Logits,
}

function attention(model: ModelBuilder, g: GraphBuilder, x: Value, layer: number): Value {
  const { hiddenSize, heads, headDim } = model.config
  const sizes = { heads, kvHeads: kvHeadsOf(model.config, layer), headDim }
  const name = `h.${layer}.attn`
  const widened = { inputs: hiddenSize, outputs: fusedWidth(sizes), bias: true }
  const fused = linear(model, g.at('c_attn'), x, `${name}.c_attn`, widened) // [B, S, (H + 2 KV) d]
  const spec = { ...sizes, keyDim: headDim, valueDim: headDim, scale: 1 / Math.sqrt(headDim) }
  const context = model.attend(g, layer, spec, splitGroups(g.at('c_attn'), fused, sizes)) // [B, H, S, d]
  const merged = mergeHeads(g, context, heads, headDim) // [B, S, H d]
  return linear(model, g.at('c_proj'), merged, `${name}.c_proj`, {
    inputs: hiddenSize,
    outputs: hiddenSize,
    bias: true,
  })
}
