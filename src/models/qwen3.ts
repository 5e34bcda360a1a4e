import type { ModelConfig } from '../architecture/model-config.ts'
import { flag, kvShapeOf, requireNeutral } from './config-fields.ts'
import type { ModelFamily } from './family.ts'
import { type LlamaForm, llamaHidden, llamaLogits } from './llama-stack.ts'
import { findActivation, gatedMlp } from './mlp.ts'
import { rmsNorm } from './norm.ts'
import { requireWholeRope } from './rope.ts'

/**
 * Qwen3 (Yang et al. 2025, section 2): Llama whose query and key heads are RMS-normed, each by itself, before they are
 * turned. Where `use_sliding_window` is on, layers from `max_window_layers` on have a window.
 */
export const qwen3: ModelFamily = {
  family: 'qwen3',

  check(config) {
    findActivation(config.activation)
    for (let layer = 0; layer < config.layers; layer++) kvShapeOf(config, layer)
    flag(config, 'attention_bias', false)
    requireWholeRope(config)
    requireNeutral(config, {
      mlp_bias: [false],
      use_mrope: [false],
      dual_chunk_attention_config: [],
      quantization_config: [],
    })
  },

  hidden: (model) => llamaHidden(model, formOf(model.config)),
  logits: (model, hidden) => llamaLogits(model, formOf(model.config), hidden),
}

function formOf(config: ModelConfig): LlamaForm {
  const bias = flag(config, 'attention_bias', false)
  return {
    norm: rmsNorm,
    attention: { bias, outputBias: bias, headNorm: {} },
    mlp: (model, g, x, name) => gatedMlp(model, g, x, name, false),
  }
}
