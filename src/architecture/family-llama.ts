import type { ModelFamily } from './family.ts'
import { llamaShared, llamaTensors, readLlamaLike } from './llama-layout.ts'

/** Llama (Touvron et al. 2023): RMS norm, rotary embedding, SwiGLU; GQA since Llama 2 70B. */
export const llama: ModelFamily = {
  ...llamaShared,
  family: 'llama',
  runnable: true,
  modelTypes: ['llama'],
  read: (fields, name) => readLlamaLike(fields, name, 'llama'),
  tensors(config) {
    const attention = config.raw.attention_bias === true
    return llamaTensors(config, { qkv: attention, output: attention, mlp: config.raw.mlp_bias === true })
  },
}
