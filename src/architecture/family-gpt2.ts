import { everyLayer, headsShape, kindOf } from './attention-shape.ts'
import type { ModelFamily } from './family.ts'
import { splitEvenly, unsupported } from './fields.ts'
import { affine, indices, layerNorm, matrix } from './tensor-list.ts'

/**
 * GPT-2 (Radford et al. 2019). Its linear layers are Conv1D: weights are [in, out], and c_attn is q|k|v side by side.
 * GPT-2 itself is always MHA; kvscope's conversions write `num_key_value_heads` into config.json, and c_attn then has
 * hidden + 2 x kvHeads x headDim columns.
 */
export const gpt2: ModelFamily = {
  family: 'gpt2',
  runnable: true,
  modelTypes: ['gpt2'],

  read(fields, name) {
    const custom = fields.any('attention_head_type')
    if (custom === 'multiquery') {
      unsupported(
        'attention_head_type',
        custom,
        'SantaCoder in custom code; bigcode/gpt_bigcode-santacoder holds the same weights',
      )
    }
    if (fields.flag(false, 'add_cross_attention')) {
      unsupported('add_cross_attention', true, 'an encoder to attend to has no place here')
    }
    const [layers, heads, hiddenSize] = [fields.layers('n_layer'), fields.size('n_head'), fields.size('n_embd')]
    const headDim = splitEvenly(hiddenSize, heads, 'n_head')
    const kvHeads = fields.sizeOr(heads, 'num_key_value_heads')
    return {
      family: 'gpt2',
      name,
      layers,
      hiddenSize,
      intermediateSize: fields.sizeOr(4 * hiddenSize, 'n_inner'),
      heads,
      headDim,
      attention: everyLayer(layers, headsShape({ heads, kvHeads, headDim, field: 'num_key_value_heads' })),
      vocabularySize: fields.size('vocab_size'),
      contextLength: fields.size('n_positions'),
      tiedEmbeddings: fields.flag(true, 'tie_word_embeddings'),
      normEpsilon: fields.number(1e-5, 'layer_norm_epsilon'),
      initializerRange: fields.number(0.02, 'initializer_range'),
      activation: fields.text('gelu_new', 'activation_function'),
      ropeTheta: null,
      raw: fields.raw,
    }
  },

  tensors(config) {
    const { hiddenSize: hidden, intermediateSize: inner, headDim } = config
    const conv = { layout: 'in,out' } as const
    const layer = (index: number) => {
      const kvWidth = (config.attention[index]?.kvHeads ?? 0) * headDim
      return [
        ...layerNorm(`h.${index}.ln_1`, hidden),
        ...affine(`h.${index}.attn.c_attn`, [hidden, hidden + 2 * kvWidth], conv),
        ...affine(`h.${index}.attn.c_proj`, [hidden, hidden], { ...conv, init: 'residual' }),
        ...layerNorm(`h.${index}.ln_2`, hidden),
        ...affine(`h.${index}.mlp.c_fc`, [hidden, inner], conv),
        ...affine(`h.${index}.mlp.c_proj`, [inner, hidden], { ...conv, init: 'residual' }),
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
    if (typeof kvHeads !== 'number') return [{ kind: 'MHA', evidence: 'GPT-2 has one K/V head for each query head' }]
    return [{ kind: kindOf(heads, kvHeads), evidence: `num_key_value_heads ${kvHeads} of ${heads} heads` }]
  },

  keyTensor: (layer) => ({ name: `h.${layer}.attn.c_attn.weight`, axis: 1, holds: 'QKV' }),
  withKvHeads: (raw, kvHeads) => ({ ...raw, num_key_value_heads: kvHeads }),
  ignorable: () => [/^h\.\d+\.attn\.(bias|masked_bias)$/],
}
