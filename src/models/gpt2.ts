import type { GraphBuilder, Value } from '../onnx/graph.ts'
import { add, split } from '../onnx/ops.ts'
import { mergeHeads, splitHeads } from './attention.ts'
import { kvHeadsOf, requireNeutral } from './config-fields.ts'
import { embed, languageModelHead } from './embedding.ts'
import type { ModelBuilder, ModelFamily } from './family.ts'
import { conv1d } from './linear.ts'
import { findActivation, mlp } from './mlp.ts'
import { layerNorm } from './norm.ts'

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

  hidden(model) {
    const { config, graph } = model
    const g = graph.at('model')
    const words = embed(model, g.at('wte'), model.tokens, 'wte.weight', config.vocabularySize) // [B, S, hidden]
    const places = embed(model, g.at('wpe'), model.positions, 'wpe.weight', config.contextLength) // [S, hidden]
    let x = add(g, words, places)
    for (let layer = 0; layer < config.layers; layer++) x = block(model, g.at(`layers.${layer}`), x, layer)
    return x
  },

  logits(model, hidden) {
    const normed = layerNorm(model, model.graph.at('model').at('ln_f'), hidden, 'ln_f')
    return languageModelHead(model, model.graph.at('lm_head'), normed, 'wte.weight', 'lm_head.weight')
  },
}

function block(model: ModelBuilder, g: GraphBuilder, x: Value, layer: number): Value {
  const name = `h.${layer}`
  const normed = layerNorm(model, g.at('ln_1'), x, `${name}.ln_1`)
  const attended = add(g.at('attn'), x, attention(model, g.at('attn'), normed, layer))
  return add(
    g.at('mlp'),
    attended,
    mlp(model, g.at('mlp'), layerNorm(model, g.at('ln_2'), attended, `${name}.ln_2`), `${name}.mlp`),
  )
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
