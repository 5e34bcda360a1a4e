import type { ModelFamily } from './family.ts'
import { withDefaults } from './fields.ts'
import { gemmaActivation, gemmaDefaults, gemmaTensors, readGemma } from './gemma-layout.ts'
import { llamaShared } from './llama-layout.ts'

/**
 * Gemma (Gemma Team 2024, "Gemma: Open Models Based on Gemini"): Llama's tensors with a tied head, heads wider than
 * hidden / heads, embeddings scaled by the root of the hidden size, and RMS norms that multiply by 1 + weight.
 */
export const gemma: ModelFamily = {
  ...llamaShared,
  family: 'gemma',
  runnable: true,
  modelTypes: ['gemma'],
  read(fields, name) {
    const stated = fields.text(gemmaActivation, 'hidden_act')
    // The first files say gelu and mean its tanh form; transformers reads them so as well.
    const activation = stated === 'gelu' ? gemmaActivation : stated
    return readGemma(withDefaults(fields, gemmaDefaults), name, { family: 'gemma', activation })
  },
  tensors: (config) => gemmaTensors(config, { around: false, heads: false }),
}
