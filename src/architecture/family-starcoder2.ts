import type { ModelFamily } from './family.ts'
import { llamaShared, readLlamaLike } from './llama-layout.ts'
import { affine, indices, layerNorm, matrix } from './tensor-list.ts'
import { withWindows } from './windows.ts'

/**
 * StarCoder2 (Lozhkov et al. 2024, section 6.1): rotary embedding and GQA, with GPT-2's layer norms, biases and MLP; a
 * window of 4,096 tokens on every layer of the released models.
 */
export const starcoder2: ModelFamily = {
  ...llamaShared,
  family: 'starcoder2',
  runnable: true,
  modelTypes: ['starcoder2'],

  read(fields, name) {
    const config = readLlamaLike(fields, name, 'starcoder2', true)
    return {
      ...config,
      attention: withWindows(config.attention, fields, () => true),
      normEpsilon: fields.number(1e-5, 'norm_epsilon'),
      initializerRange: fields.number(0.018042, 'initializer_range'),
      activation: fields.text('gelu_pytorch_tanh', 'hidden_act'),
      contextLength: fields.sizeOr(4096, 'max_position_embeddings'),
    }
  },

  tensors(config) {
    const { hiddenSize: hidden, intermediateSize: inner, heads, headDim, vocabularySize: vocabulary } = config
    const bias = config.raw.use_bias !== false
    const layer = (index: number) => {
      const path = `model.layers.${index}`
      const kvWidth = (config.attention[index]?.kvHeads ?? 0) * headDim
      return [
        ...layerNorm(`${path}.input_layernorm`, hidden),
        ...affine(`${path}.self_attn.q_proj`, [heads * headDim, hidden], { bias }),
        ...affine(`${path}.self_attn.k_proj`, [kvWidth, hidden], { bias }),
        ...affine(`${path}.self_attn.v_proj`, [kvWidth, hidden], { bias }),
        ...affine(`${path}.self_attn.o_proj`, [hidden, heads * headDim], { bias }),
        ...layerNorm(`${path}.post_attention_layernorm`, hidden),
        ...affine(`${path}.mlp.c_fc`, [inner, hidden], { bias }),
        ...affine(`${path}.mlp.c_proj`, [hidden, inner], { bias }),
      ]
    }
    return [
      matrix('model.embed_tokens', [vocabulary, hidden]),
      ...indices(config.layers).flatMap(layer),
      ...layerNorm('model.norm', hidden),
      ...(config.tiedEmbeddings ? [] : [matrix('lm_head', [vocabulary, hidden])]),
    ]
  },
}
