import type { ModelConfig } from '../architecture/model-config.ts'
import { flag, kvHeadsOf, requireNeutral } from './config-fields.ts'
import type { ModelFamily } from './family.ts'
import { type LlamaForm, llamaHidden, llamaLogits } from './llama-stack.ts'
import { findActivation, gatedMlp } from './mlp.ts'
import { rmsNorm } from './norm.ts'
import { requireWholeRope } from './rope.ts'

/** Llama (Touvron et al. 2023): RMS norms, rotary positions, SwiGLU, grouped K/V heads, separate projections. */
export const llama: ModelFamily = {
  family: 'llama',

  check(config) {
    findActivation(config.activation)
    for (let layer = 0; layer < config.layers; layer++) kvHeadsOf(config, layer)
    flag(config, 'attention_bias', false)
    flag(config, 'mlp_bias', false)
    requireWholeRope(config)
    requireNeutral(config, {
      sliding_window: [],
      use_sliding_window: [false],
      partial_rotary_factor: [1],
      rope_interleaved: [false],
      quantization_config: [],
      attn_logit_softcapping: [],
      final_logit_softcapping: [],
    })
  },

  hidden: (model) => llamaHidden(model, formOf(model.config)),
  logits: (model, hidden) => llamaLogits(model, formOf(model.config), hidden),
}

function formOf(config: ModelConfig): LlamaForm {
  const [attention, inMlp] = [flag(config, 'attention_bias', false), flag(config, 'mlp_bias', false)]
  return {
    norm: rmsNorm,
    attention: { bias: attention, outputBias: attention },
    mlp: (model, g, x, name) => gatedMlp(model, g, x, name, inMlp),
  }
}
