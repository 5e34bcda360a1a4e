import type { ModelFamily } from './family.ts'
import { llamaShared, readLlamaLike } from './llama-layout.ts'
import { affine, indices, layerNorm, matrix } from './tensor-list.ts'

/** Phi-1, 1.5 and 2 (Li et al. 2023): one layer norm a layer, biases everywhere, rotary on a part of each head. */
export const phi: ModelFamily = {
  ...llamaShared,
  family: 'phi',
  runnable: true,
  modelTypes: ['phi'],

  read: (fields, name) => ({
    ...readLlamaLike(fields, name, 'phi'),
    normEpsilon: fields.number(1e-5, 'layer_norm_eps'),
    activation: fields.text('gelu_new', 'hidden_act'),
  }),

  tensors(config) {
    const { hiddenSize: hidden, intermediateSize: inner, heads, headDim, vocabularySize: vocabulary } = config
    const layer = (index: number) => {
      const path = `model.layers.${index}`
      const kvWidth = (config.attention[index]?.kvHeads ?? 0) * headDim
      return [
        ...layerNorm(`${path}.input_layernorm`, hidden),
        ...affine(`${path}.self_attn.q_proj`, [heads * headDim, hidden]),
        ...affine(`${path}.self_attn.k_proj`, [kvWidth, hidden]),
        ...affine(`${path}.self_attn.v_proj`, [kvWidth, hidden]),
        ...affine(`${path}.self_attn.dense`, [hidden, heads * headDim]),
        ...affine(`${path}.mlp.fc1`, [inner, hidden]),
        ...affine(`${path}.mlp.fc2`, [hidden, inner]),
      ]
    }
    return [
      matrix('model.embed_tokens', [vocabulary, hidden]),
      ...indices(config.layers).flatMap(layer),
      ...layerNorm('model.final_layernorm', hidden),
      ...(config.tiedEmbeddings ? [] : [matrix('lm_head', [vocabulary, hidden])]),
      { name: 'lm_head.bias', shape: [vocabulary], init: 'zeros' },
    ]
  },
}
