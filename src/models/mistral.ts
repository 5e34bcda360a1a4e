import { kvShapeOf, requireNeutral } from './config-fields.ts'
import type { ModelFamily } from './family.ts'
import { type LlamaForm, llamaHidden, llamaLogits } from './llama-stack.ts'
import { findActivation, gatedMlp } from './mlp.ts'
import { rmsNorm } from './norm.ts'
import { requireWholeRope } from './rope.ts'

/** Mistral 7B (Jiang et al. 2023): Llama with GQA, no biases, and in v0.1 a window on every layer (section 2). */
export const mistral: ModelFamily = {
  family: 'mistral',

  check(config) {
    findActivation(config.activation)
    for (let layer = 0; layer < config.layers; layer++) kvShapeOf(config, layer)
    requireWholeRope(config)
    requireNeutral(config, {
      attention_bias: [false],
      mlp_bias: [false],
      use_sliding_window: [true],
      quantization_config: [],
    })
  },

  hidden: (model) => llamaHidden(model, form),
  logits: (model, hidden) => llamaLogits(model, form, hidden),
}

const form: LlamaForm = {
  norm: rmsNorm,
  attention: { bias: false, outputBias: false },
  mlp: (model, g, x, name) => gatedMlp(model, g, x, name, false),
}
