import { readMixtralExperts } from '../architecture/family-mixtral.ts'
import { readFields } from '../architecture/fields.ts'
import type { ModelConfig } from '../architecture/model-config.ts'
import { kvShapeOf, requireNeutral } from './config-fields.ts'
import { type ExpertsSpec, experts } from './experts.ts'
import type { ModelFamily } from './family.ts'
import { type LlamaForm, llamaHidden, llamaLogits } from './llama-stack.ts'
import { findActivation } from './mlp.ts'
import { rmsNorm } from './norm.ts'
import { requireWholeRope } from './rope.ts'

/** Mixtral (Jiang et al. 2024): Mistral with experts in place of the MLP. */
export const mixtral: ModelFamily = {
  family: 'mixtral',

  check(config) {
    findActivation(config.activation)
    for (let layer = 0; layer < config.layers; layer++) kvShapeOf(config, layer)
    requireWholeRope(config)
    requireNeutral(config, {
      attention_bias: [false],
      mlp_bias: [false],
      layer_types: [],
      quantization_config: [],
    })
  },

  hidden: (model) => llamaHidden(model, form),
  logits: (model, hidden) => llamaLogits(model, form, hidden),
}

const form: LlamaForm = {
  norm: rmsNorm,
  attention: { bias: false, outputBias: false },
  mlp: (model, g, x, name) => experts(model, g, x, expertsOf(model.config, name.replace(/mlp$/, 'block_sparse_moe'))),
}

/** A softmax over all experts, whose best two then share the whole (Jiang et al. 2024, section 2.1). */
function expertsOf({ intermediateSize: inner, raw }: ModelConfig, path: string): ExpertsSpec {
  const routed = readMixtralExperts(readFields(raw))
  return {
    router: { ...routed, name: `${path}.gate`, scores: 'softmax', normalized: true, scale: 1 },
    expert(index) {
      const own = `${path}.experts.${index}`
      return { gate: `${own}.w1`, up: `${own}.w3`, down: `${own}.w2`, inner, bias: false }
    },
  }
}
