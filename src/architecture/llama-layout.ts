import { everyLayer, headsShape, kindOf } from './attention-shape.ts'
import type { ConfigWord, KeyTensor } from './family.ts'
import { type Fields, splitEvenly } from './fields.ts'
import type { ExpectedTensor, Family, ModelConfig } from './model-config.ts'
import { readRopeTheta } from './rope.ts'
import { affine, indices, matrix } from './tensor-list.ts'

/** Reads the config.json that Llama set and its descendants keep; what differs comes as an argument. */
export function readLlamaLike(fields: Fields, name: string, family: Family, tiedByDefault = false): ModelConfig {
  const [layers, heads] = [fields.layers('num_hidden_layers'), fields.size('num_attention_heads')]
  const hiddenSize = fields.size('hidden_size')
  const headDim = fields.any('head_dim')
    ? fields.size('head_dim')
    : splitEvenly(hiddenSize, heads, 'num_attention_heads')
  const kvHeads = fields.sizeOr(heads, 'num_key_value_heads')
  return {
    family,
    name,
    layers,
    hiddenSize,
    intermediateSize: fields.size('intermediate_size'),
    heads,
    headDim,
    attention: everyLayer(layers, headsShape({ heads, kvHeads, headDim, field: 'num_key_value_heads' })),
    vocabularySize: fields.size('vocab_size'),
    contextLength: fields.sizeOr(2048, 'max_position_embeddings'),
    tiedEmbeddings: fields.flag(tiedByDefault, 'tie_word_embeddings'),
    normEpsilon: fields.number(1e-6, 'rms_norm_eps'),
    initializerRange: fields.number(0.02, 'initializer_range'),
    activation: fields.text('silu', 'hidden_activation', 'hidden_act'),
    ropeTheta: readRopeTheta(fields),
    raw: fields.raw,
  }
}

export interface LlamaBiases {
  qkv: boolean
  output: boolean
  mlp: boolean
}

/** Gate, up and down projections of SwiGLU (Shazeer 2020), [out, in]. */
export function gatedMlp(path: string, hidden: number, inner: number, bias = false): ExpectedTensor[] {
  return [
    ...affine(`${path}.gate_proj`, [inner, hidden], { bias }),
    ...affine(`${path}.up_proj`, [inner, hidden], { bias }),
    ...affine(`${path}.down_proj`, [hidden, inner], { bias }),
  ]
}

export interface LlamaNorms {
  /** what a gain starts as: zeros where it is 1 + weight */
  init?: 'ones' | 'zeros'
  /** of a layer, each over the hidden size */
  layer?: readonly [string, ...string[]]
  /** queries and keys are normed too, each head by itself: `q_norm` and `k_norm`, [head dim] */
  heads?: boolean
}

/** Llama's tensors: separate q, k, v and o projections [out, in], two RMS norms a layer unless `norms` says otherwise. */
export function llamaTensors(
  config: ModelConfig,
  bias: LlamaBiases,
  { init = 'ones', layer: norms = ['input_layernorm', 'post_attention_layernorm'], heads: ofHeads }: LlamaNorms = {},
): ExpectedTensor[] {
  const { hiddenSize: hidden, heads, headDim } = config
  const norm = (name: string, size = hidden): ExpectedTensor => ({ name: `${name}.weight`, shape: [size], init })
  const [first, ...others] = norms
  const layer = (index: number) => {
    const path = `model.layers.${index}`
    const kvWidth = (config.attention[index]?.kvHeads ?? 0) * headDim
    return [
      norm(`${path}.${first}`),
      ...affine(`${path}.self_attn.q_proj`, [heads * headDim, hidden], { bias: bias.qkv }),
      ...affine(`${path}.self_attn.k_proj`, [kvWidth, hidden], { bias: bias.qkv }),
      ...affine(`${path}.self_attn.v_proj`, [kvWidth, hidden], { bias: bias.qkv }),
      ...affine(`${path}.self_attn.o_proj`, [hidden, heads * headDim], { bias: bias.output }),
      ...(ofHeads ? ['q_norm', 'k_norm'].map((part) => norm(`${path}.self_attn.${part}`, headDim)) : []),
      ...others.map((part) => norm(`${path}.${part}`)),
      ...gatedMlp(`${path}.mlp`, hidden, config.intermediateSize, bias.mlp),
    ]
  }
  return [
    matrix('model.embed_tokens', [config.vocabularySize, hidden]),
    ...indices(config.layers).flatMap(layer),
    norm('model.norm'),
    ...(config.tiedEmbeddings ? [] : [matrix('lm_head', [config.vocabularySize, hidden])]),
  ]
}

function llamaWords({ heads, raw, attention }: ModelConfig): ConfigWord[] {
  const stated = raw.num_key_value_heads
  if (typeof stated === 'number')
    return [{ kind: kindOf(heads, stated), evidence: `num_key_value_heads ${stated} of num_attention_heads ${heads}` }]
  // Llama's own default is a K/V head for each query head; Gemma 3's config.json leaves out a number of its own.
  const kvHeads = attention[0]?.kvHeads ?? heads
  const evidence = kvHeads === heads ? `${heads} heads each` : `the family's default of ${kvHeads} for ${heads} heads`
  return [{ kind: kindOf(heads, kvHeads), evidence: `num_key_value_heads is absent: ${evidence}` }]
}

/** The parts of a family that every descendant of Llama shares. */
export const llamaShared = {
  words: llamaWords,
  keyTensor: (layer: number): KeyTensor => ({
    name: `model.layers.${layer}.self_attn.k_proj.weight`,
    axis: 0,
    holds: 'K',
  }),
  withKvHeads: (raw: Record<string, unknown>, kvHeads: number) => ({ ...raw, num_key_value_heads: kvHeads }),
  ignorable: () => [/\.rotary_emb\.inv_freq$/],
}
