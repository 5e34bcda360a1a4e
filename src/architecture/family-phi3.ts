import type { ModelFamily } from './family.ts'
import { llamaShared, readLlamaLike } from './llama-layout.ts'
import type { ExpectedTensor } from './model-config.ts'
import { indices, matrix } from './tensor-list.ts'
import { withWindows } from './windows.ts'

/**
 * Phi-3 and Phi-4 (Abdin et al. 2024): Llama with fused weights. qkv_proj's rows are all queries, all keys, all values;
 * gate_up_proj's are the gate, then up.
 */
export const phi3: ModelFamily = {
  ...llamaShared,
  family: 'phi3',
  runnable: true,
  modelTypes: ['phi3'],

  read(fields, name) {
    const config = readLlamaLike(fields, name, 'phi3')
    return {
      ...config,
      attention: withWindows(config.attention, fields, () => true),
      contextLength: fields.sizeOr(4096, 'max_position_embeddings'),
      normEpsilon: fields.number(1e-5, 'rms_norm_eps'),
    }
  },

  tensors(config) {
    const { hiddenSize: hidden, intermediateSize: inner, heads, headDim, vocabularySize: vocabulary } = config
    const norm = (name: string): ExpectedTensor => ({ name: `${name}.weight`, shape: [hidden], init: 'ones' })
    const layer = (index: number) => {
      const path = `model.layers.${index}`
      const rows = (heads + 2 * (config.attention[index]?.kvHeads ?? 0)) * headDim
      return [
        norm(`${path}.input_layernorm`),
        matrix(`${path}.self_attn.qkv_proj`, [rows, hidden]),
        matrix(`${path}.self_attn.o_proj`, [hidden, heads * headDim]),
        norm(`${path}.post_attention_layernorm`),
        matrix(`${path}.mlp.gate_up_proj`, [2 * inner, hidden]),
        matrix(`${path}.mlp.down_proj`, [hidden, inner]),
      ]
    }
    return [
      matrix('model.embed_tokens', [vocabulary, hidden]),
      ...indices(config.layers).flatMap(layer),
      norm('model.norm'),
      ...(config.tiedEmbeddings ? [] : [matrix('lm_head', [vocabulary, hidden])]),
    ]
  },

  keyTensor: (layer) => ({ name: `model.layers.${layer}.self_attn.qkv_proj.weight`, axis: 0, holds: 'QKV' }),
}
