import type { ModelFamily } from './family.ts'
import { gatedMlp, llamaShared, readLlamaLike } from './llama-layout.ts'
import type { ExpectedTensor } from './model-config.ts'
import { affine, indices, matrix } from './tensor-list.ts'

/** OLMo 2 (OLMo Team 2024): Llama's projections; norms behind attention and MLP, and over all queries and all keys. */
export const olmo2: ModelFamily = {
  ...llamaShared,
  family: 'olmo2',
  runnable: true,
  modelTypes: ['olmo2'],

  read: (fields, name) => ({
    ...readLlamaLike(fields, name, 'olmo2'),
    normEpsilon: fields.number(1e-5, 'rms_norm_eps'),
  }),

  tensors(config) {
    const { hiddenSize: hidden, heads, headDim, vocabularySize: vocabulary } = config
    const bias = config.raw.attention_bias === true
    const norm = (name: string, size = hidden): ExpectedTensor => ({
      name: `${name}.weight`,
      shape: [size],
      init: 'ones',
    })
    const layer = (index: number) => {
      const path = `model.layers.${index}`
      const kvWidth = (config.attention[index]?.kvHeads ?? 0) * headDim
      return [
        ...affine(`${path}.self_attn.q_proj`, [heads * headDim, hidden], { bias }),
        ...affine(`${path}.self_attn.k_proj`, [kvWidth, hidden], { bias }),
        ...affine(`${path}.self_attn.v_proj`, [kvWidth, hidden], { bias }),
        ...affine(`${path}.self_attn.o_proj`, [hidden, heads * headDim], { bias }),
        norm(`${path}.self_attn.q_norm`, heads * headDim),
        norm(`${path}.self_attn.k_norm`, kvWidth),
        norm(`${path}.post_attention_layernorm`),
        ...gatedMlp(`${path}.mlp`, hidden, config.intermediateSize),
        norm(`${path}.post_feedforward_layernorm`),
      ]
    }
    return [
      matrix('model.embed_tokens', [vocabulary, hidden]),
      ...indices(config.layers).flatMap(layer),
      norm('model.norm'),
      ...(config.tiedEmbeddings ? [] : [matrix('lm_head', [vocabulary, hidden])]),
    ]
  },
}
