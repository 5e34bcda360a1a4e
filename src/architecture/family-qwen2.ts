import type { ModelFamily } from './family.ts'
import { llamaShared, llamaTensors, readLlamaLike } from './llama-layout.ts'
import { withWindows } from './windows.ts'

/**
 * Qwen2 and Qwen2.5 (Yang et al. 2024): Llama with biases on q, k and v. Its config.json names a sliding window that
 * `use_sliding_window` switches off everywhere by default; switched on, it starts at layer `max_window_layers`.
 */
export const qwen2: ModelFamily = {
  ...llamaShared,
  family: 'qwen2',
  modelTypes: ['qwen2'],
  read(fields, name) {
    const config = readLlamaLike(fields, name, 'qwen2')
    const first = fields.flag(false, 'use_sliding_window') ? fields.countOr(28, 'max_window_layers') : config.layers
    return { ...config, attention: withWindows(config.attention, fields, (layer) => layer >= first) }
  },
  tensors: (config) => llamaTensors(config, { qkv: true, output: false, mlp: false }),
}
