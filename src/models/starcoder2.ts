import type { ModelConfig } from '../architecture/model-config.ts'
import { flag, kvShapeOf, requireNeutral } from './config-fields.ts'
import type { ModelFamily } from './family.ts'
import { type LlamaForm, llamaHidden, llamaLogits } from './llama-stack.ts'
import { findActivation, linearMlp } from './mlp.ts'
import { layerNorm } from './norm.ts'
import { requireWholeRope } from './rope.ts'

/**
 * StarCoder2 (Lozhkov et al. 2024, section 6.1): Llama's stack with GPT-2's layer norms, biases and plain MLP, grouped K/V
 * heads, and a window on every layer.
 */
export const starcoder2: ModelFamily = {
  family: 'starcoder2',

  check(config) {
    findActivation(config.activation)
    for (let layer = 0; layer < config.layers; layer++) kvShapeOf(config, layer)
    flag(config, 'use_bias', true)
    requireWholeRope(config)
    requireNeutral(config, {
      norm_type: ['layer_norm'],
      mlp_type: ['default'],
      scale_attn_weights: [true],
      use_sliding_window: [true],
      quantization_config: [],
    })
  },

  hidden: (model) => llamaHidden(model, formOf(model.config)),
  logits: (model, hidden) => llamaLogits(model, formOf(model.config), hidden),
}

function formOf(config: ModelConfig): LlamaForm {
  const bias = flag(config, 'use_bias', true)
  return {
    norm: layerNorm,
    attention: { bias, outputBias: bias },
    mlp: (model, g, x, name) => linearMlp(model, g, x, name, { up: 'c_fc', down: 'c_proj', bias }),
  }
}
