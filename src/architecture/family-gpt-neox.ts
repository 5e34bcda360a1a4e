import { everyLayer, headsShape } from './attention-shape.ts'
import type { ModelFamily } from './family.ts'
import { splitEvenly } from './fields.ts'
import { readRopeTheta } from './rope.ts'
import { affine, indices, layerNorm, matrix } from './tensor-list.ts'

/**
 * GPT-NeoX (Black et al. 2022; Pythia): always MHA, rotary on a part of each head, untied head.
 * query_key_value's rows are per head [q, k, v].
 */
export const gptNeoX: ModelFamily = {
  family: 'gpt_neox',
  modelTypes: ['gpt_neox'],

  read(fields, name) {
    const [layers, heads] = [fields.layers('num_hidden_layers'), fields.size('num_attention_heads')]
    const hiddenSize = fields.size('hidden_size')
    const headDim = splitEvenly(hiddenSize, heads, 'num_attention_heads')
    return {
      family: 'gpt_neox',
      name,
      layers,
      hiddenSize,
      intermediateSize: fields.size('intermediate_size'),
      heads,
      headDim,
      attention: everyLayer(layers, headsShape({ heads, kvHeads: heads, headDim, field: 'num_attention_heads' })),
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
    const { hiddenSize: hidden, intermediateSize: inner, vocabularySize: vocabulary } = config
    const bias = config.raw.attention_bias !== false
    const layer = (index: number) => {
      const path = `gpt_neox.layers.${index}`
      return [
        ...layerNorm(`${path}.input_layernorm`, hidden),
        ...layerNorm(`${path}.post_attention_layernorm`, hidden),
        ...affine(`${path}.attention.query_key_value`, [3 * hidden, hidden], { bias }),
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

  words: ({ heads }) => [{ kind: 'MHA', evidence: `GPT-NeoX has a K/V head for each of its ${heads} query heads` }],
  keyTensor: (layer) => ({
    name: `gpt_neox.layers.${layer}.attention.query_key_value.weight`,
    axis: 0,
    holds: 'QKV',
    grouped: true,
  }),
  ignorable: () => [/\.attention\.(bias|masked_bias|rotary_emb\.inv_freq)$/, /^embed_out\.weight$/],
}
