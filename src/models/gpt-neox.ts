import type { ModelConfig } from '../architecture/model-config.ts'
import { ropeOf } from '../architecture/rope.ts'
import type { GraphBuilder, Value } from '../onnx/graph.ts'
import { add } from '../onnx/ops.ts'
import { mergeHeads } from './attention.ts'
import { flag, kvHeadsOf, refuse, requireNeutral } from './config-fields.ts'
import { embed, languageModelHead } from './embedding.ts'
import type { ModelBuilder, ModelFamily } from './family.ts'
import { fusedWidth, splitGroups } from './fused-projection.ts'
import { linear } from './linear.ts'
import { findActivation, linearMlp } from './mlp.ts'
import { layerNorm } from './norm.ts'
import { type RotaryTable, rotaryTable, rotate } from './rope.ts'

/**
 * GPT-NeoX (Black et al. 2022) and Pythia (Biderman et al. 2023): rotary positions on the first part of each head,
 * attention and MLP side by side behind a layer norm each, or one after the other.
 */
export const gptNeoX: ModelFamily = {
  family: 'gpt_neox',

  check(config) {
    findActivation(config.activation)
    for (let layer = 0; layer < config.layers; layer++) kvHeadsOf(config, layer)
    flag(config, 'attention_bias', true)
    flag(config, 'use_parallel_residual', true)
    ropeOf(config)
    requireOneSpelling(config, 'rope_theta', 'rotary_emb_base', 10_000)
    requireOneSpelling(config, 'partial_rotary_factor', 'rotary_pct', 0.25)
    requireNeutral(config, { quantization_config: [] })
  },

  hidden(model) {
    const { config, graph } = model
    const g = graph.at('gpt_neox')
    const table = rotaryTable(g.at('rotary'), model.positions, ropeOf(config))
    let x = embed(model, g.at('embed_in'), model.tokens, 'gpt_neox.embed_in.weight', config.vocabularySize)
    for (let layer = 0; layer < config.layers; layer++) x = block(model, g.at(`layers.${layer}`), x, layer, table)
    return x // [B, S, hidden]
  },

  logits(model, hidden) {
    const at = model.graph.at('gpt_neox').at('final_layer_norm')
    const normed = layerNorm(model, at, hidden, 'gpt_neox.final_layer_norm')
    return languageModelHead(model, model.graph.at('embed_out'), normed, 'gpt_neox.embed_in.weight', 'embed_out.weight')
  },
}

/** transformers reads the family's own word and ignores the other, so that they may not differ. */
function requireOneSpelling({ raw, ...config }: ModelConfig, common: string, own: string, fallback: number): void {
  const value = raw[common]
  if (value !== undefined && value !== null && value !== (raw[own] ?? fallback))
    refuse({ raw, ...config }, common, value)
}

function block(model: ModelBuilder, g: GraphBuilder, x: Value, layer: number, table: RotaryTable): Value {
  const name = `gpt_neox.layers.${layer}`
  const norm = (part: string, of: Value) => layerNorm(model, g.at(part), of, `${name}.${part}`)
  const forward = (of: Value) =>
    linearMlp(model, g.at('mlp'), of, `${name}.mlp`, { up: 'dense_h_to_4h', down: 'dense_4h_to_h', bias: true })

  const attended = attention(model, g.at('attention'), norm('input_layernorm', x), layer, table)
  const after = add(g.at('attention'), x, attended)
  const parallel = flag(model.config, 'use_parallel_residual', true)
  return add(g.at('mlp'), after, forward(norm('post_attention_layernorm', parallel ? x : after)))
}

function attention(model: ModelBuilder, g: GraphBuilder, x: Value, layer: number, table: RotaryTable): Value {
  const { hiddenSize, heads, headDim } = model.config
  const bias = flag(model.config, 'attention_bias', true)
  const sizes = { heads, kvHeads: kvHeadsOf(model.config, layer), headDim }
  const name = `gpt_neox.layers.${layer}.attention`
  const widened = { inputs: hiddenSize, outputs: fusedWidth(sizes), bias }
  const fused = linear(model, g.at('query_key_value'), x, `${name}.query_key_value`, widened)
  const { query, key, value } = splitGroups(g.at('query_key_value'), fused, sizes)
  const spec = { ...sizes, keyDim: headDim, valueDim: headDim, scale: 1 / Math.sqrt(headDim) }
  const context = model.attend(g, layer, spec, {
    query: rotate(g.at('q_rotary'), query, table, headDim), // [B, H, S, d]
    key: rotate(g.at('k_rotary'), key, table, headDim), // [B, H, S, d], cached rotated
    value, // [B, H, S, d]
  }) // [B, H, S, d]
  const merged = mergeHeads(g, context, heads, headDim) // [B, S, H d]
  return linear(model, g.at('dense'), merged, `${name}.dense`, { inputs: hiddenSize, outputs: hiddenSize, bias })
}
