import type { GraphBuilder, Value } from '../onnx/graph.ts'
import { split } from '../onnx/ops.ts'
import { mergeHeads, splitHeads } from './attention.ts'
import { kvHeadsOf, requireNeutral } from './config-fields.ts'
import type { ModelBuilder, ModelFamily } from './family.ts'
import { gpt2Hidden, gpt2Logits } from './gpt2-stack.ts'
import { conv1d } from './linear.ts'
import { findActivation, mlp } from './mlp.ts'

/** GPT-2 (Radford et al. 2019): learned positions, layer norms before attention and MLP, one fused projection. */
export const gpt2: ModelFamily = {
  family: 'gpt2',

  check(config) {
    findActivation(config.activation)
    for (let layer = 0; layer < config.layers; layer++) kvHeadsOf(config, layer)
    requireNeutral(config, {
      scale_attn_weights: [true],
      scale_attn_by_inverse_layer_idx: [false],
      add_cross_attention: [false],
      quantization_config: [],
    })
  },

  hidden: (model) => gpt2Hidden(model, { attention, mlp }),
  logits: gpt2Logits,
}

/** c_attn's columns are queries | keys | values; with fewer K/V heads than heads the last two are narrower. */
function attention(model: ModelBuilder, g: GraphBuilder, x: Value, layer: number): Value {
  const { hiddenSize, heads, headDim } = model.config
  const kvHeads = kvHeadsOf(model.config, layer)
  const [queries, keys] = [heads * headDim, kvHeads * headDim]
  const name = `h.${layer}.attn`
  const fused = conv1d(model, g.at('c_attn'), x, `${name}.c_attn`, { inputs: hiddenSize, outputs: queries + 2 * keys })
  // Heads first, then cut: the three parts are heads of one width, so one transpose serves them all.
  const byHead = splitHeads(g.at('c_attn'), fused, heads + 2 * kvHeads, headDim) // [B, H + 2 KV, S, d]
  const parts = g.integers([heads, kvHeads, kvHeads])
  const context = model.attend(
    g,
    layer,
    { heads, kvHeads, keyDim: headDim, valueDim: headDim, scale: 1 / Math.sqrt(headDim) },
    split(g.at('c_attn'), byHead, parts, ['query', 'key', 'value'], 1),
  ) // [B, H, S, d]
  const merged = mergeHeads(g, context, heads, headDim) // [B, S, H d]
  return conv1d(model, g.at('c_proj'), merged, `${name}.c_proj`, { inputs: queries, outputs: hiddenSize })
}
