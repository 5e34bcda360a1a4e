import type { ModelFamily } from './family.ts'
import { withDefaults } from './fields.ts'
import { gemmaActivation, gemmaDefaults, gemmaTensors, gemmaWindows, readGemma } from './gemma-layout.ts'
import { llamaShared } from './llama-layout.ts'

/**
 * Gemma 2 (Gemma Team 2024, "Gemma 2: Improving Open Language Models at a Practical Size", section 2): Gemma with GQA,
 * norms behind attention and MLP as well, soft caps on scores and logits, and a window on every other layer from the
 * first on.
 */
export const gemma2: ModelFamily = {
  ...llamaShared,
  family: 'gemma2',
  runnable: true,
  modelTypes: ['gemma2'],
  read(fields, name) {
    const full = withDefaults(fields, gemmaDefaults)
    const activation = fields.text(gemmaActivation, 'hidden_activation')
    const config = readGemma(full, name, { family: 'gemma2', activation })
    return { ...config, attention: gemmaWindows(config.attention, full, (layer) => layer % 2 === 0) }
  },
  tensors: (config) => gemmaTensors(config, { around: true, heads: false }),
}
