import { ropeOf } from '../architecture/rope.ts'
import type { GraphBuilder, Value } from '../onnx/graph.ts'
import { add } from '../onnx/ops.ts'
import { embed, languageModelHead } from './embedding.ts'
import type { ModelBuilder } from './family.ts'
import { type RotaryTable, rotaryTable } from './rope.ts'
import { type SelfAttentionForm, selfAttention } from './self-attention.ts'

/** What a family puts into the blocks of Llama's form. x: [B, S, hiddenSize] -> the same; `name` is the weights' path. */
export interface LlamaForm {
  norm(model: ModelBuilder, g: GraphBuilder, x: Value, name: string): Value
  attention: Omit<SelfAttentionForm, 'table'>
  mlp(model: ModelBuilder, g: GraphBuilder, x: Value, name: string): Value
}

/** Llama's stack (Touvron et al. 2023): rotary positions, norms before attention and MLP. -> [B, S, hiddenSize] */
export function llamaHidden(model: ModelBuilder, form: LlamaForm): Value {
  return rotaryStack(model, (...parts) => block(form, ...parts))
}

/** One layer. x: [B, S, hiddenSize] -> the same */
export type RotaryBlock = (model: ModelBuilder, g: GraphBuilder, x: Value, layer: number, table: RotaryTable) => Value

/** Embeddings through a block a layer that shares one rotary table, by Llama's names. -> [B, S, hiddenSize] */
export function rotaryStack(model: ModelBuilder, layerBlock: RotaryBlock): Value {
  const { config, graph } = model
  const g = graph.at('model')
  const table = rotaryTable(g.at('rotary'), model.positions, ropeOf(config))
  let x = embed(model, g.at('embed_tokens'), model.tokens, 'model.embed_tokens.weight', config.vocabularySize)
  for (let layer = 0; layer < config.layers; layer++) x = layerBlock(model, g.at(`layers.${layer}`), x, layer, table)
  return x
}

export function llamaLogits(model: ModelBuilder, { norm }: Pick<LlamaForm, 'norm'>, hidden: Value): Value {
  const normed = norm(model, model.graph.at('model').at('norm'), hidden, 'model.norm')
  return languageModelHead(model, model.graph.at('lm_head'), normed, 'model.embed_tokens.weight', 'lm_head.weight')
}

function block(
  { norm, attention, mlp }: LlamaForm,
  model: ModelBuilder,
  g: GraphBuilder,
  x: Value,
  layer: number,
  table: RotaryTable,
): Value {
  const name = `model.layers.${layer}`
  const form = { ...attention, table }
  const normed = norm(model, g.at('input_layernorm'), x, `${name}.input_layernorm`)
  const attended = add(g.at('attn'), x, selfAttention(model, g.at('attn'), normed, layer, `${name}.self_attn`, form))
  const again = norm(model, g.at('post_attention_layernorm'), attended, `${name}.post_attention_layernorm`)
  return add(g.at('mlp'), attended, mlp(model, g.at('mlp'), again, `${name}.mlp`))
}
