import type { ModelFamily } from './family.ts'
import { unsupported } from './fields.ts'
import { llamaShared, llamaTensors, readLlamaLike } from './llama-layout.ts'
import { withWindows } from './windows.ts'

/**
 * Mistral 7B (Jiang et al. 2023): Llama with GQA and, in v0.1, a sliding window on every layer: 4,096 tokens where
 * config.json is silent, none where it says null. Which layers slide is not for it to say: transformers ignores
 * `layer_types` here, so one that says otherwise is refused.
 */
export const mistral: ModelFamily = {
  ...llamaShared,
  family: 'mistral',
  runnable: true,
  modelTypes: ['mistral'],
  read(fields, name) {
    const config = readLlamaLike(fields, name, 'mistral')
    const attention = withWindows(config.attention, fields, () => true, 4096)
    const windows = new Set(attention.map(({ window }) => window))
    const window = fields.raw.sliding_window === null ? null : fields.sizeOr(4096, 'sliding_window')
    if (windows.size > 1 || !windows.has(window)) {
      unsupported('layer_types', fields.any('layer_types'), `every layer of a Mistral has the window ${window}`)
    }
    return { ...config, attention }
  },
  tensors: (config) => llamaTensors(config, { qkv: false, output: false, mlp: false }),
}
