import { everyLayer, headsShape, kindOf } from './attention-shape.ts'
import type { ModelFamily } from './family.ts'
import { type Fields, splitEvenly, unsupported } from './fields.ts'
import { affine, indices, layerNorm, matrix } from './tensor-list.ts'

/**
 * GPT-Neo (Black et al. 2021): GPT-2 with separate projections, whose layers are global and local in turn; local ones look
 * back `window_size` tokens. Always MHA itself; kvscope's conversions write `num_key_value_heads` into config.json.
 */
export const gptNeo: ModelFamily = {
  family: 'gpt_neo',
  runnable: true,
  modelTypes: ['gpt_neo'],

  read(fields, name) {
    const [layers, heads] = [
      fields.layers('num_layers', 'num_hidden_layers'),
      fields.size('num_heads', 'num_attention_heads'),
    ]
    requireAlike(fields, 'num_layers', 'num_hidden_layers')
    requireAlike(fields, 'num_heads', 'num_attention_heads')
    const hiddenSize = fields.size('hidden_size')
    const headDim = splitEvenly(hiddenSize, heads, 'num_heads')
    const kvHeads = fields.sizeOr(heads, 'num_key_value_heads')
    const shape = headsShape({ heads, kvHeads, headDim, field: 'num_key_value_heads' })
    const window = fields.sizeOr(256, 'window_size')
    const types = attentionTypes(fields, layers)
    return {
      family: 'gpt_neo',
      name,
      layers,
      hiddenSize,
      intermediateSize: fields.sizeOr(4 * hiddenSize, 'intermediate_size'),
      heads,
      headDim,
      attention: everyLayer(layers, shape).map((own, layer) => (types[layer] === 'local' ? { ...own, window } : own)),
      vocabularySize: fields.size('vocab_size'),
      contextLength: fields.sizeOr(2048, 'max_position_embeddings'),
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
    const layer = (index: number) => {
      const path = `h.${index}`
      const kvWidth = (config.attention[index]?.kvHeads ?? 0) * headDim
      return [
        ...layerNorm(`${path}.ln_1`, hidden),
        ...affine(`${path}.attn.attention.q_proj`, [hidden, hidden], { bias: false }),
        ...affine(`${path}.attn.attention.k_proj`, [kvWidth, hidden], { bias: false }),
        ...affine(`${path}.attn.attention.v_proj`, [kvWidth, hidden], { bias: false }),
        ...affine(`${path}.attn.attention.out_proj`, [hidden, hidden]),
        ...layerNorm(`${path}.ln_2`, hidden),
        ...affine(`${path}.mlp.c_fc`, [inner, hidden]),
        ...affine(`${path}.mlp.c_proj`, [hidden, inner]),
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
    if (typeof kvHeads !== 'number') return [{ kind: 'MHA', evidence: 'GPT-Neo has one K/V head for each query head' }]
    return [{ kind: kindOf(heads, kvHeads), evidence: `num_key_value_heads ${kvHeads} of ${heads} heads` }]
  },

  keyTensor: (layer) => ({ name: `h.${layer}.attn.attention.k_proj.weight`, axis: 0, holds: 'K' }),
  withKvHeads: (raw, kvHeads) => ({ ...raw, num_key_value_heads: kvHeads }),
  ignorable: () => [/^h\.\d+\.attn\.attention\.(bias|masked_bias)$/],
}

/** transformers has two names for one number. @throws AppError CONFIG_UNSUPPORTED where both are set and differ */
function requireAlike(fields: Fields, name: string, other: string): void {
  const [value, again] = [fields.any(name), fields.any(other)]
  if (value !== undefined && again !== undefined && value !== again) {
    unsupported(other, again, `${name} says ${String(value)}, and both mean the same`)
  }
}

/**
 * 'global' or 'local' for each layer, from `attention_types`, a list of [types, times]; absent: [["global", "local"], 12].
 * @throws AppError CONFIG_UNSUPPORTED for another form, another number of layers, or where `attention_layers` differs
 */
function attentionTypes(fields: Fields, layers: number): unknown[] {
  const stated: unknown = fields.any('attention_types') ?? [[['global', 'local'], 12]]
  const types = Array.isArray(stated) ? stated.flatMap((item) => repeated(item, layers)) : []
  if (types.length !== layers || types.some((type) => type !== 'global' && type !== 'local')) {
    return unsupported('attention_types', stated, `it must say global or local for each of ${layers} layers`)
  }
  const listed = fields.any('attention_layers')
  if (listed !== undefined && JSON.stringify(listed) !== JSON.stringify(types)) {
    return unsupported('attention_layers', listed, `attention_types says ${types.join(', ')}`)
  }
  return types
}

/** One entry of `attention_types`, written out; nothing where it has another form or is longer than there are layers. */
function repeated(item: unknown, layers: number): unknown[] {
  if (!Array.isArray(item) || !Array.isArray(item[0])) return []
  const [types, times]: [unknown[], unknown] = [item[0], item[1]]
  if (typeof times !== 'number' || !Number.isInteger(times) || times < 0 || times * types.length > layers) return []
  return Array.from({ length: times }, () => types).flat()
}
