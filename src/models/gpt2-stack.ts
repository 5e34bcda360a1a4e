import type { GraphBuilder, Value } from '../onnx/graph.ts'
import { add } from '../onnx/ops.ts'
import { embed, languageModelHead } from './embedding.ts'
import type { ModelBuilder } from './family.ts'
import { layerNorm } from './norm.ts'

/** How a block of GPT-2's form attends, and its MLP. x: [B, S, hiddenSize] -> the same */
export interface Gpt2Parts {
  attention(model: ModelBuilder, g: GraphBuilder, x: Value, layer: number): Value
  mlp(model: ModelBuilder, g: GraphBuilder, x: Value, name: string): Value
}

/** GPT-2's stack (Radford et al. 2019): learned positions, layer norms before attention and MLP. -> [B, S, hiddenSize] */
export function gpt2Hidden(model: ModelBuilder, parts: Gpt2Parts): Value {
  const { config, graph } = model
  const g = graph.at('model')
  const words = embed(model, g.at('wte'), model.tokens, 'wte.weight', config.vocabularySize) // [B, S, hidden]
  const places = embed(model, g.at('wpe'), model.positions, 'wpe.weight', config.contextLength) // [S, hidden]
  let x = add(g, words, places)
  for (let layer = 0; layer < config.layers; layer++) x = block(model, parts, g.at(`layers.${layer}`), x, layer)
  return x
}

export function gpt2Logits(model: ModelBuilder, hidden: Value): Value {
  const normed = layerNorm(model, model.graph.at('model').at('ln_f'), hidden, 'ln_f')
  return languageModelHead(model, model.graph.at('lm_head'), normed, 'wte.weight', 'lm_head.weight')
}

function block(model: ModelBuilder, parts: Gpt2Parts, g: GraphBuilder, x: Value, layer: number): Value {
  const name = `h.${layer}`
  const normed = layerNorm(model, g.at('ln_1'), x, `${name}.ln_1`)
  const attended = add(g.at('attn'), x, parts.attention(model, g.at('attn'), normed, layer))
  return add(
    g.at('mlp'),
    attended,
    parts.mlp(model, g.at('mlp'), layerNorm(model, g.at('ln_2'), attended, `${name}.ln_2`), `${name}.mlp`),
  )
}
