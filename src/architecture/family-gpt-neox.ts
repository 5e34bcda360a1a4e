import { everyLayer, headsShape, kindOf } from './attention-shape.ts'
import type { ModelFamily } from './family.ts'
import { splitEvenly } from './fields.ts'
import { readRopeTheta } from './rope.ts'
import { affine, indices, layerNorm, matrix } from './tensor-list.ts'

/**
 * GPT-NeoX (Black et al. 2022; Pythia): MHA, rotary on a part of each head, untied head. query_key_value's rows are per head
 * [q, k, v]. Fewer K/V heads are kvscope's own, for conversions: for each its queries, its key, its value. transformers
 * reads no number of them here, and refuses such weights by their shape.
 */
export const gptNeoX: ModelFamily = {
  family: 'gpt_neox',
  runnable: true,
  modelTypes: ['gpt_neox'],

  read(fields, name) {
    const [layers, heads] = [fields.layers('num_hidden_layers'), fields.size('num_attention_heads')]
    const hiddenSize = fields.size('hidden_size')
    const headDim = splitEvenly(hiddenSize, heads, 'num_attention_heads')
    const kvHeads = fields.sizeOr(heads, 'num_key_value_heads')
    return {
      family: 'gpt_neox',
      name,
      layers,
      hiddenSize,
      intermediateSize: fields.size('intermediate_size'),
      heads,
      headDim,
      attention: everyLayer(layers, headsShape({ heads, kvHeads, headDim, field: 'num_key_value_heads' })),
      vocabularySize: fields.size('vocab_size'),
      contextLength: fields.sizeOr(2048, 'max_position_embeddings'),
      tiedEmbeddings: fields.flag(false, 'tie_word_embeddings'),
      normEpsilon: fields.number(1e-5, 'layer_norm_eps'),
      initializerRange: fields.number(0.02, 'initializer_range'),
      activation: fields.text('gelu', 'hidden_act'),
      ropeTheta: readRopeTheta(fields),
      raw: fields.raw,
    }
  },

  tensors(config) {
    const { hiddenSize: hidden, intermediateSize: inner, heads, headDim, vocabularySize: vocabulary } = config
    const bias = config.raw.attention_bias !== false
    const layer = (index: number) => {
      const path = `gpt_neox.layers.${index}`
      const rows = (heads + 2 * (config.attention[index]?.kvHeads ?? 0)) * headDim
      return [
        ...layerNorm(`${path}.input_layernorm`, hidden),
        ...layerNorm(`${path}.post_attention_layernorm`, hidden),
        ...affine(`${path}.attention.query_key_value`, [rows, hidden], { bias }),
        ...affine(`${path}.attention.dense`, [hidden, hidden], { bias }),
        ...affine(`${path}.mlp.dense_h_to_4h`, [inner, hidden]),
        ...affine(`${path}.mlp.dense_4h_to_h`, [hidden, inner]),
      ]
    }
    return [
      matrix('gpt_neox.embed_in', [vocabulary, hidden]),
      ...indices(config.layers).flatMap(layer),
      ...layerNorm('gpt_neox.final_layer_norm', hidden),
      ...(config.tiedEmbeddings ? [] : [matrix('embed_out', [vocabulary, hidden])]),
    ]
  },

  words({ heads, raw }) {
    const stated = raw.num_key_value_heads
    return typeof stated === 'number'
      ? [{ kind: kindOf(heads, stated), evidence: `num_key_value_heads ${stated} of num_attention_heads ${heads}` }]
      : [{ kind: 'MHA', evidence: `GPT-NeoX has a K/V head for each of its ${heads} query heads` }]
  },
  withKvHeads: (raw, kvHeads) => ({ ...raw, num_key_value_heads: kvHeads }),
  keyTensor: (layer) => ({
    name: `gpt_neox.layers.${layer}.attention.query_key_value.weight`,
    axis: 0,
    holds: 'QKV',
    grouped: true,
  }),
  ignorable: () => [/\.attention\.(bias|masked_bias|rotary_emb\.inv_freq)$/, /^embed_out\.weight$/],
}
