import type { ModelFamily } from './family.ts'
import { llamaShared, llamaTensors, readLlamaLike } from './llama-layout.ts'
import { withWindows } from './windows.ts'

/** Mistral 7B (Jiang et al. 2023): Llama with GQA and, in v0.1, a sliding window on every layer. */
export const mistral: ModelFamily = {
  ...llamaShared,
  family: 'mistral',
  modelTypes: ['mistral'],
  read(fields, name) {
    const config = readLlamaLike(fields, name, 'mistral')
    return { ...config, attention: withWindows(config.attention, fields, () => true) }
  },
  tensors: (config) => llamaTensors(config, { qkv: false, output: false, mlp: false }),
}
