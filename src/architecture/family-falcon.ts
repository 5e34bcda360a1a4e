import { everyLayer, headsShape, kindOf } from './attention-shape.ts'
import type { ConfigWord, ModelFamily } from './family.ts'
import { type Fields, readFields, splitEvenly, unsupported } from './fields.ts'
import type { ModelConfig } from './model-config.ts'
import { readRopeTheta } from './rope.ts'
import { affine, indices, layerNorm, matrix } from './tensor-list.ts'

/**
 * The order of query_key_value's rows, n query heads and kv K/V heads of d values each:
 * perHead (n, 3, d), each head's q, k, v; shared (n + 2, d), all q, one k, one v; grouped (kv, n / kv + 2, d), each
 * group's q, its k, its v.
 */
type FalconLayout = 'perHead' | 'shared' | 'grouped'

/** Which of the three layouts a Falcon's config.json means (transformers, FalconAttention._split_heads). */
function falconLayout(raw: Record<string, unknown>): FalconLayout {
  const fields = readFields(raw)
  // RefinedWeb is falcon-40b's first model_type; it had no such field and no other layout.
  if (fields.flag(raw.model_type === 'RefinedWeb', 'new_decoder_architecture')) return 'grouped'
  return fields.flag(true, 'multi_query') ? 'shared' : 'perHead'
}

const kvSpellings = ['num_kv_heads', 'n_head_kv']

function readKvHeads(fields: Fields, heads: number): number {
  const layout = falconLayout(fields.raw)
  if (layout === 'shared') return 1
  return layout === 'perHead' ? heads : fields.sizeOr(heads, ...kvSpellings)
}

/** One norm before both branches, or one for each (transformers, FalconDecoderLayer.__init__). */
function norms(config: ModelConfig, path: string) {
  const { raw, hiddenSize } = config
  const grouped = falconLayout(raw) === 'grouped'
  const inParallel = raw.num_ln_in_parallel_attn ?? (grouped ? 2 : 1)
  if (inParallel !== 1 && inParallel !== 2) unsupported('num_ln_in_parallel_attn', inParallel, 'it may be 1 or 2')
  const first = layerNorm(`${path}.input_layernorm`, hiddenSize)
  if (raw.parallel_attn === false) return [...first, ...layerNorm(`${path}.post_attention_layernorm`, hiddenSize)]
  if (inParallel === 1) return first
  return [...layerNorm(`${path}.ln_attn`, hiddenSize), ...layerNorm(`${path}.ln_mlp`, hiddenSize)]
}

/** Falcon (Almazrouei et al. 2023): MHA with ALiBi (falcon-rw), MQA (7B) or GQA (40B, 180B, 11B), one fused weight. */
export const falcon: ModelFamily = {
  family: 'falcon',
  modelTypes: ['falcon', 'RefinedWeb', 'RefinedWebModel'],

  read(fields, name) {
    const layers = fields.layers('num_hidden_layers', 'n_layer')
    const heads = fields.size('num_attention_heads', 'n_head')
    const hiddenSize = fields.size('hidden_size')
    const headDim = splitEvenly(hiddenSize, heads, 'num_attention_heads')
    const kvHeads = readKvHeads(fields, heads)
    return {
      family: 'falcon',
      name,
      layers,
      hiddenSize,
      intermediateSize: fields.sizeOr(4 * hiddenSize, 'ffn_hidden_size'),
      heads,
      headDim,
      attention: everyLayer(layers, headsShape({ heads, kvHeads, headDim, field: 'num_kv_heads' })),
      vocabularySize: fields.size('vocab_size'),
      contextLength: fields.sizeOr(2048, 'max_position_embeddings'),
      tiedEmbeddings: fields.flag(true, 'tie_word_embeddings'),
      normEpsilon: fields.number(1e-5, 'layer_norm_epsilon'),
      initializerRange: fields.number(0.02, 'initializer_range'),
      activation: fields.text('gelu', 'activation'),
      ropeTheta: fields.flag(false, 'alibi') ? null : readRopeTheta(fields),
      raw: fields.raw,
    }
  },

  tensors(config) {
    const { hiddenSize: hidden, intermediateSize: inner, heads, headDim } = config
    const bias = config.raw.bias === true
    const layer = (index: number) => {
      const path = `h.${index}`
      const rows = (heads + 2 * (config.attention[index]?.kvHeads ?? 0)) * headDim
      return [
        ...norms(config, path),
        ...affine(`${path}.self_attention.query_key_value`, [rows, hidden], { bias }),
        ...affine(`${path}.self_attention.dense`, [hidden, heads * headDim], { bias }),
        ...affine(`${path}.mlp.dense_h_to_4h`, [inner, hidden], { bias }),
        ...affine(`${path}.mlp.dense_4h_to_h`, [hidden, inner], { bias }),
      ]
    }
    return [
      matrix('word_embeddings', [config.vocabularySize, hidden]),
      ...indices(config.layers).flatMap(layer),
      ...layerNorm('ln_f', hidden),
      ...(config.tiedEmbeddings ? [] : [matrix('lm_head', [config.vocabularySize, hidden])]),
    ]
  },

  words({ heads, raw }) {
    const layout = falconLayout(raw)
    const written = readFields(raw).any(...kvSpellings)
    const kvHeads = typeof written === 'number' ? written : heads
    const byCount: ConfigWord = { kind: kindOf(heads, kvHeads), evidence: `num_kv_heads ${kvHeads} of ${heads} heads` }
    if (layout === 'grouped') return [{ ...byCount, evidence: `new_decoder_architecture true, ${byCount.evidence}` }]
    const byLayout: ConfigWord =
      layout === 'shared'
        ? { kind: 'MQA', evidence: 'multi_query true, new_decoder_architecture false' }
        : { kind: 'MHA', evidence: 'multi_query false, new_decoder_architecture false' }
    return typeof written === 'number' ? [byLayout, byCount] : [byLayout]
  },

  keyTensor: (layer) => ({ name: `h.${layer}.self_attention.query_key_value.weight`, axis: 0, holds: 'QKV' }),
  ignorable: () => [/\.rotary_emb\.inv_freq$/, /\.self_attention\.(maybe_rotary|rotary)\.inv_freq$/],

  surprises(config) {
    const kind = config.attention[0]?.kind
    if (kind === 'MHA') {
      return [
        {
          code: 'FAMILY_MISLEADS',
          message: `${config.name} is a Falcon, and not MQA: each of its ${config.heads} query heads has a K/V head of its own`,
          advice:
            'Read query_key_value as [head, (q, k, v), head dim]; read as MQA, "the shared K" is another head\'s V.',
        },
      ]
    }
    if (kind !== 'GQA') return []
    return [
      {
        code: 'SAVING_NOT_EVERYWHERE',
        message: 'transformers repeats these K/V heads for every query head before it caches them',
        advice: 'Expect the KV cache of MHA there; the bytes shown here are what the weights allow.',
      },
    ]
  },
}
