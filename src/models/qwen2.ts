import { kvShapeOf, requireNeutral } from './config-fields.ts'
import type { ModelFamily } from './family.ts'
import { type LlamaForm, llamaHidden, llamaLogits } from './llama-stack.ts'
import { findActivation, gatedMlp } from './mlp.ts'
import { rmsNorm } from './norm.ts'
import { requireWholeRope } from './rope.ts'

/** Qwen2 and Qwen2.5 (Yang et al. 2024, section 2.2): Llama with biases on queries, keys and values. */
export const qwen2: ModelFamily = {
  family: 'qwen2',

  check(config) {
    findActivation(config.activation)
    for (let layer = 0; layer < config.layers; layer++) kvShapeOf(config, layer)
    requireWholeRope(config)
    requireNeutral(config, {
      attention_bias: [true],
      mlp_bias: [false],
      use_mrope: [false],
      dual_chunk_attention_config: [],
      quantization_config: [],
    })
  },

  hidden: (model) => llamaHidden(model, form),
  logits: (model, hidden) => llamaLogits(model, form, hidden),
}

const form: LlamaForm = {
  norm: rmsNorm,
  attention: { bias: true, outputBias: false },
  mlp: (model, g, x, name) => gatedMlp(model, g, x, name, false),
}
