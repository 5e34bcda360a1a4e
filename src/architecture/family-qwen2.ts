import type { ModelFamily } from './family.ts'
import { unsupported } from './fields.ts'
import { llamaShared, llamaTensors, readLlamaLike } from './llama-layout.ts'
import { withWindows } from './windows.ts'

/**
 * Qwen2 and Qwen2.5 (Yang et al. 2024): Llama with biases on q, k and v. Its config.json names a sliding window that
 * `use_sliding_window` switches off everywhere by default; switched on, it starts at layer `max_window_layers`.
 */
export const qwen2: ModelFamily = {
  ...llamaShared,
  family: 'qwen2',
  runnable: true,
  modelTypes: ['qwen2'],
  read(fields, name) {
    const config = readLlamaLike(fields, name, 'qwen2')
    const slides = fields.flag(false, 'use_sliding_window')
    const first = fields.countOr(28, 'max_window_layers')
    const attention = withWindows(config.attention, fields, (layer) => slides && layer >= first, slides ? 4096 : null)
    if (!slides && attention.some(({ window }) => window !== null)) {
      unsupported('layer_types', fields.any('layer_types'), 'layers slide, and use_sliding_window is off')
    }
    return { ...config, attention }
  },
  tensors: (config) => llamaTensors(config, { qkv: true, output: false, mlp: false }),
}
