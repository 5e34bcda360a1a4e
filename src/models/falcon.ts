import { type FalconForm, readFalconForm } from '../architecture/falcon-form.ts'
import type { ModelConfig } from '../architecture/model-config.ts'
import type { GraphBuilder, Value } from '../onnx/graph.ts'
import { add } from '../onnx/ops.ts'
import { alibiBias } from './alibi.ts'
import { mergeHeads } from './attention.ts'
import { flag, kvHeadsOf, refuse, requireNeutral } from './config-fields.ts'
import { embed, languageModelHead } from './embedding.ts'
import type { ModelBuilder, ModelFamily } from './family.ts'
import { fusedWidth, splitGroups } from './fused-projection.ts'
import { linear } from './linear.ts'
import { findActivation, linearMlp } from './mlp.ts'
import { layerNorm } from './norm.ts'
import { type RotaryTable, requirePlainRope, ropeTheta, rotaryTable, rotate } from './rope.ts'

/**
 * Falcon (Almazrouei et al. 2023), in the forms that have been trained: falcon-rw (ALiBi, attention and then MLP), 7b
 * (rotary, both side by side behind one layer norm, one K/V head), 40b and 11B (the same with groups of K/V heads).
 */
export const falcon: ModelFamily = {
  family: 'falcon',

  check(config) {
    findActivation(config.activation)
    for (let layer = 0; layer < config.layers; layer++) kvHeadsOf(config, layer)
    flag(config, 'bias', false)
    requireKnownForm(config, readFalconForm(config.raw))
    requireNeutral(config, {
      apply_residual_connection_post_layernorm: [false],
      partial_rotary_factor: [1],
      sliding_window: [],
      quantization_config: [],
    })
  },

  hidden(model) {
    const { config, graph } = model
    const g = graph.at('model')
    const form = readFalconForm(config.raw)
    const places = placesOf(model, g, form)
    let x = embed(model, g.at('word_embeddings'), model.tokens, 'word_embeddings.weight', config.vocabularySize)
    for (let layer = 0; layer < config.layers; layer++) {
      x = block(model, g.at(`layers.${layer}`), x, layer, form, places)
    }
    return x // [B, S, hidden]
  },

  logits(model, hidden) {
    const normed = layerNorm(model, model.graph.at('model').at('ln_f'), hidden, 'ln_f')
    return languageModelHead(model, model.graph.at('lm_head'), normed, 'word_embeddings.weight', 'lm_head.weight')
  },
}

/** How a layer learns of positions: by what is added to its scores, or by how queries and keys are turned. */
type Places = { bias: Value } | { table: RotaryTable }

const scaleOf = ({ headDim }: ModelConfig) => 1 / Math.sqrt(headDim)

function placesOf(model: ModelBuilder, g: GraphBuilder, { alibi }: FalconForm): Places {
  const { config, positions } = model
  if (alibi) return { bias: alibiBias(g.at('alibi'), model.keyPositions(), config.heads, scaleOf(config)) }
  return { table: rotaryTable(g.at('rotary'), positions, { width: config.headDim, theta: ropeTheta(config) }) }
}

function block(model: ModelBuilder, g: GraphBuilder, x: Value, layer: number, form: FalconForm, places: Places): Value {
  const name = `h.${layer}`
  const bias = flag(model.config, 'bias', false)
  const [first, second = first] = form.norms
  const norm = (part: string, of: Value) => layerNorm(model, g.at(part), of, `${name}.${part}`)
  const forward = (of: Value) =>
    linearMlp(model, g.at('mlp'), of, `${name}.mlp`, { up: 'dense_h_to_4h', down: 'dense_4h_to_h', bias })

  const normed = norm(first, x)
  const attended = attention(model, g.at('attn'), normed, layer, places)
  if (!form.parallel) {
    const after = add(g.at('attn'), x, attended)
    return add(g.at('mlp'), after, forward(norm(second, after)))
  }
  const both = add(g.at('mlp'), forward(second === first ? normed : norm(second, x)), attended)
  return add(g, x, both)
}

function attention(model: ModelBuilder, g: GraphBuilder, x: Value, layer: number, places: Places): Value {
  const { hiddenSize, heads, headDim } = model.config
  const bias = flag(model.config, 'bias', false)
  const sizes = { heads, kvHeads: kvHeadsOf(model.config, layer), headDim }
  const name = `h.${layer}.self_attention`
  const widened = { inputs: hiddenSize, outputs: fusedWidth(sizes), bias }
  const fused = linear(model, g.at('query_key_value'), x, `${name}.query_key_value`, widened)
  const { query, key, value } = splitGroups(g.at('query_key_value'), fused, sizes)
  const placed =
    'bias' in places
      ? { query, key, value, bias: places.bias }
      : {
          query: rotate(g.at('q_rotary'), query, places.table, headDim), // [B, H, S, d]
          key: rotate(g.at('k_rotary'), key, places.table, headDim), // [B, KV, S, d], cached rotated
          value, // [B, KV, S, d]
        }
  const spec = { ...sizes, keyDim: headDim, valueDim: headDim, scale: scaleOf(model.config) }
  const context = model.attend(g, layer, spec, placed) // [B, H, S, d]
  const merged = mergeHeads(g, context, heads, headDim) // [B, S, H d]
  return linear(model, g.at('dense'), merged, `${name}.dense`, { inputs: hiddenSize, outputs: hiddenSize, bias })
}

/** Falcon's flags can be set to forms that nobody trained and no golden file knows. */
function requireKnownForm(config: ModelConfig, { layout, alibi, parallel, norms }: FalconForm): void {
  const grouped = layout === 'grouped'
  if (grouped && alibi) refuse(config, 'alibi with new_decoder_architecture', alibi)
  if (grouped && !parallel) refuse(config, 'parallel_attn with new_decoder_architecture', parallel)
  if (alibi && parallel) refuse(config, 'alibi with parallel_attn', alibi)
  if (!alibi && !parallel) refuse(config, 'parallel_attn without alibi', parallel)
  if (layout === 'perHead' && parallel) refuse(config, 'multi_query with parallel_attn', false)
  if (!grouped && norms[0] === 'ln_attn') refuse(config, 'num_ln_in_parallel_attn', config.raw.num_ln_in_parallel_attn)
  requirePlainRope(config)
  if (!alibi && config.headDim % 2 !== 0) refuse(config, 'num_attention_heads', config.heads)
}
