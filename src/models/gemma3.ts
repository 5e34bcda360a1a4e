import type { ModelConfig } from '../architecture/model-config.ts'
import { type RotarySpec, ropeOf } from '../architecture/rope.ts'
import { positive, refuse, requireNeutral } from './config-fields.ts'
import type { ModelFamily } from './family.ts'
import { checkGemma, gemmaEmbeddings, gemmaLogits, queryScale, sandwichBlock } from './gemma-blocks.ts'
import { type RotaryTable, rotaryTable } from './rope.ts'

/**
 * Gemma 3's text model (Gemma Team 2025, "Gemma 3 Technical Report", section 2.1): Gemma 2 with norms of query and key
 * heads in place of the cap on scores. Layers with a window turn by a base of 10,000, the others by 1,000,000 and what
 * `rope_scaling` says.
 */
export const gemma3: ModelFamily = {
  family: 'gemma3',

  check(config) {
    checkGemma(config)
    for (let layer = 0; layer < config.layers; layer++) gemma3Rope(config, layer)
    queryScale(config)
    positive(config, 'final_logit_softcapping', null)
    requireNeutral(config, { attn_logit_softcapping: [] })
    requireTypedRope(config)
  },

  hidden(model) {
    const { config, graph } = model
    const g = graph.at('model')
    const tables = new Map<number | null, RotaryTable>()
    let x = gemmaEmbeddings(model, g)
    for (const [layer, { window }] of config.attention.entries()) {
      const at = g.at(window === null ? 'rotary' : 'local_rotary')
      const table = tables.get(window) ?? rotaryTable(at, model.positions, gemma3Rope(config, layer))
      tables.set(window, table)
      const form = { table, headNorm: { unitOffset: true }, scale: queryScale(config) }
      x = sandwichBlock(model, g.at(`layers.${layer}`), x, layer, form)
    }
    return x // [B, S, hidden]
  },

  logits: (model, hidden) => gemmaLogits(model, hidden, positive(model.config, 'final_logit_softcapping', null)),
}

function gemma3Rope(config: ModelConfig, layer: number): RotarySpec {
  return ropeOf(config, layer, { localTheta: 10_000 })
}

/** `rope_parameters` holds one set for each type of layer; of one for all, transformers makes something else. */
function requireTypedRope(config: ModelConfig): void {
  const { rope_parameters: parameters } = config.raw
  if (typeof parameters !== 'object' || parameters === null) return
  if (!('full_attention' in parameters) || !('sliding_attention' in parameters)) {
    refuse(config, 'rope_parameters', parameters)
  }
}
