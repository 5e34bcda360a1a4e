import { ropeOf } from '../architecture/rope.ts'
import { positive, requireNeutral } from './config-fields.ts'
import type { ModelFamily } from './family.ts'
import { checkGemma, gemmaEmbeddings, gemmaLogits, queryScale, sandwichBlock } from './gemma-blocks.ts'
import { rotaryTable } from './rope.ts'

/**
 * Gemma 2 (Gemma Team 2024, "Gemma 2: Improving Open Language Models at a Practical Size", section 2): a window on every
 * other layer, norms behind attention and MLP as well, a scale of its own for scores, and tanh caps on scores and logits.
 */
export const gemma2: ModelFamily = {
  family: 'gemma2',

  check(config) {
    checkGemma(config)
    queryScale(config)
    positive(config, 'attn_logit_softcapping', null)
    positive(config, 'final_logit_softcapping', null)
    // A name of the first files, which transformers passes over.
    requireNeutral(config, { sliding_window_size: [config.raw.sliding_window ?? 4096] })
  },

  hidden(model) {
    const { config, graph } = model
    const g = graph.at('model')
    const table = rotaryTable(g.at('rotary'), model.positions, ropeOf(config))
    const softCap = positive(config, 'attn_logit_softcapping', 50)
    const form = { table, scale: queryScale(config), ...(softCap === null ? {} : { softCap }) }
    let x = gemmaEmbeddings(model, g)
    for (let layer = 0; layer < config.layers; layer++)
      x = sandwichBlock(model, g.at(`layers.${layer}`), x, layer, form)
    return x // [B, S, hidden]
  },

  logits: (model, hidden) => gemmaLogits(model, hidden, positive(model.config, 'final_logit_softcapping', 30)),
}
