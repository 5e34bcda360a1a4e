import { everyLayer, headsShape, kindOf } from './attention-shape.ts'
import { readFalconForm } from './falcon-form.ts'
import type { ConfigWord, ModelFamily } from './family.ts'
import { type Fields, readFields, splitEvenly } from './fields.ts'
import { readRopeTheta } from './rope.ts'
import { affine, indices, layerNorm, matrix } from './tensor-list.ts'

const kvSpellings = ['num_kv_heads', 'n_head_kv']

function readKvHeads(fields: Fields, heads: number): number {
  const { layout } = readFalconForm(fields.raw)
  return layout === 'shared' ? 1 : fields.sizeOr(heads, ...kvSpellings)
}

/** Falcon (Almazrouei et al. 2023): MHA with ALiBi (falcon-rw), MQA (7B) or GQA (40B, 180B, 11B), one fused weight. */
export const falcon: ModelFamily = {
  family: 'falcon',
  runnable: true,
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
    const { norms } = readFalconForm(config.raw)
    const layer = (index: number) => {
      const path = `h.${index}`
      const rows = (heads + 2 * (config.attention[index]?.kvHeads ?? 0)) * headDim
      return [
        ...norms.flatMap((norm) => layerNorm(`${path}.${norm}`, hidden)),
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
    const { layout } = readFalconForm(raw)
    const written = readFields(raw).any(...kvSpellings)
    const kvHeads = typeof written === 'number' ? written : heads
    const byCount: ConfigWord = { kind: kindOf(heads, kvHeads), evidence: `num_kv_heads ${kvHeads} of ${heads} heads` }
    if (layout === 'grouped') return [{ ...byCount, evidence: `new_decoder_architecture true, ${byCount.evidence}` }]
    if (layout === 'perHead' && kvHeads !== heads) return [byCount]
    const byLayout: ConfigWord =
      layout === 'shared'
        ? { kind: 'MQA', evidence: 'multi_query true, new_decoder_architecture false' }
        : { kind: 'MHA', evidence: 'multi_query false, new_decoder_architecture false' }
    return typeof written === 'number' ? [byLayout, byCount] : [byLayout]
  },

  keyTensor: (layer) => ({
    name: `h.${layer}.self_attention.query_key_value.weight`,
    axis: 0,
    holds: 'QKV',
    grouped: true,
  }),

  /**
   * Fewer K/V heads in falcon-rw's form are kvscope's own but for one, which is multi_query true: transformers reads
   * num_kv_heads with new_decoder_architecture alone.
   */
  withKvHeads({ n_head_kv: _, ...raw }, kvHeads) {
    const { layout } = readFalconForm(raw)
    if (layout === 'shared') return raw
    return { ...raw, num_kv_heads: kvHeads, ...(layout === 'perHead' && kvHeads === 1 ? { multi_query: true } : {}) }
  },

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
    if (kind !== 'GQA' || readFalconForm(config.raw).layout !== 'grouped') return []
    return [
      {
        code: 'SAVING_NOT_EVERYWHERE',
        message: 'transformers repeats these K/V heads for every query head before it caches them',
        advice: 'Expect the KV cache of MHA there; the bytes shown here are what the weights allow.',
      },
    ]
  },
}
