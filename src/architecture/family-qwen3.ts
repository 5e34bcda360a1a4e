import type { ModelFamily } from './family.ts'
import { unsupported, withDefaults } from './fields.ts'
import { llamaShared, llamaTensors, readLlamaLike } from './llama-layout.ts'
import { withWindows } from './windows.ts'

/**
 * Qwen3 (Yang et al. 2025, section 2): Qwen2 whose queries and keys are normed head by head in place of its biases.
 * Heads are as wide as `head_dim` says, 128 by default, whatever the hidden size. Its window is Qwen2's: off by default,
 * and from layer `max_window_layers` on where `use_sliding_window` switches it on.
 */
export const qwen3: ModelFamily = {
  ...llamaShared,
  family: 'qwen3',
  runnable: true,
  modelTypes: ['qwen3'],
  read(fields, name) {
    const config = readLlamaLike(withDefaults(fields, { head_dim: 128 }), name, 'qwen3')
    const slides = fields.flag(false, 'use_sliding_window')
    const first = fields.countOr(28, 'max_window_layers')
    const attention = withWindows(config.attention, fields, (layer) => slides && layer >= first)
    if (!slides && attention.some(({ window }) => window !== null)) {
      unsupported('layer_types', fields.any('layer_types'), 'layers slide, and use_sliding_window is off')
    }
    return { ...config, attention }
  },
  tensors(config) {
    const bias = config.raw.attention_bias === true
    return llamaTensors(config, { qkv: bias, output: bias, mlp: false }, { heads: true })
  },
}
