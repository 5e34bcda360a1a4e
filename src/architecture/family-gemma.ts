import type { ModelFamily } from './family.ts'
import { llamaShared, llamaTensors, readLlamaLike } from './llama-layout.ts'

/**
 * Gemma (Gemma Team 2024): Llama's tensors with a tied head, heads wider than hidden / heads, and RMS norms that
 * multiply by 1 + weight, which is why their weights start at zero.
 */
export const gemma: ModelFamily = {
  ...llamaShared,
  family: 'gemma',
  modelTypes: ['gemma'],
  read: (fields, name) => readLlamaLike(fields, name, 'gemma', true),
  tensors(config) {
    const bias = config.raw.attention_bias === true
    return llamaTensors(config, { qkv: bias, output: bias, mlp: false }, 'zeros')
  },
}
