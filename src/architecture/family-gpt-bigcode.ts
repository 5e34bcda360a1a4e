import { everyLayer, headsShape, kindOf } from './attention-shape.ts'
import type { ModelFamily } from './family.ts'
import { splitEvenly } from './fields.ts'
import { affine, indices, layerNorm, matrix } from './tensor-list.ts'

/**
 * GPT-BigCode (Ben Allal et al. 2023: SantaCoder; StarCoder): GPT-2 with Linear layers, [out, in], and one K/V head.
 * c_attn's rows are all q, then k, then v; with `multi_query` false they are per head [q, k, v], unlike GPT-2's. Between the two
 * lie kvscope's conversions alone, which write `num_key_value_heads` and rows per group.
 */
export const gptBigCode: ModelFamily = {
  family: 'gpt_bigcode',
  runnable: true,
  modelTypes: ['gpt_bigcode'],

  read(fields, name) {
    const [layers, heads, hiddenSize] = [fields.layers('n_layer'), fields.size('n_head'), fields.size('n_embd')]
    const headDim = splitEvenly(hiddenSize, heads, 'n_head')
    const kvHeads = fields.flag(true, 'multi_query') ? 1 : fields.sizeOr(heads, 'num_key_value_heads')
    return {
      family: 'gpt_bigcode',
      name,
      layers,
      hiddenSize,
      intermediateSize: fields.sizeOr(4 * hiddenSize, 'n_inner'),
      heads,
      headDim,
      attention: everyLayer(layers, headsShape({ heads, kvHeads, headDim, field: 'multi_query' })),
      vocabularySize: fields.size('vocab_size'),
      contextLength: fields.size('n_positions'),
      tiedEmbeddings: fields.flag(true, 'tie_word_embeddings'),
      normEpsilon: fields.number(1e-5, 'layer_norm_epsilon'),
      initializerRange: fields.number(0.02, 'initializer_range'),
      activation: fields.text('gelu_pytorch_tanh', 'activation_function'),
      ropeTheta: null,
      raw: fields.raw,
    }
  },

  tensors(config) {
    const { hiddenSize: hidden, intermediateSize: inner, headDim } = config
    const layer = (index: number) => {
      const kvWidth = (config.attention[index]?.kvHeads ?? 0) * headDim
      return [
        ...layerNorm(`h.${index}.ln_1`, hidden),
        ...affine(`h.${index}.attn.c_attn`, [hidden + 2 * kvWidth, hidden]),
        ...affine(`h.${index}.attn.c_proj`, [hidden, hidden], { init: 'residual' }),
        ...layerNorm(`h.${index}.ln_2`, hidden),
        ...affine(`h.${index}.mlp.c_fc`, [inner, hidden]),
        ...affine(`h.${index}.mlp.c_proj`, [hidden, inner], { init: 'residual' }),
      ]
    }
    return [
      matrix('wte', [config.vocabularySize, hidden]),
      matrix('wpe', [config.contextLength, hidden]),
      ...indices(config.layers).flatMap(layer),
      ...layerNorm('ln_f', hidden),
      ...(config.tiedEmbeddings ? [] : [matrix('lm_head', [config.vocabularySize, hidden])]),
    ]
  },

  words({ heads, raw }) {
    const kvHeads = raw.num_key_value_heads
    if (raw.multi_query === false && typeof kvHeads === 'number' && kvHeads !== heads) {
      return [{ kind: kindOf(heads, kvHeads), evidence: `num_key_value_heads ${kvHeads} of ${heads} heads` }]
    }
    const shared = raw.multi_query !== false
    const evidence = `multi_query ${raw.multi_query === undefined ? 'is absent, which means true' : shared}`
    return [{ kind: shared ? 'MQA' : 'MHA', evidence }]
  },

  keyTensor: (layer) => ({ name: `h.${layer}.attn.c_attn.weight`, axis: 0, holds: 'QKV', grouped: true }),
  withKvHeads: (raw, kvHeads) => ({ ...raw, multi_query: kvHeads === 1, num_key_value_heads: kvHeads }),
  ignorable: () => [/^h\.\d+\.attn\.(bias|masked_bias)$/],
}
