import type { ModelConfig } from './model-config.ts'

/**
 * Values that multi-head latent attention holds of one new token while a step computes its widest layer, beside scores:
 * every head's key, made and joined with its rotary part, its value, and of the absorbed form the query in the latent's
 * space and what it read there. 0 for a model without MLA.
 */
export function latentStepValues({ attention, heads }: Pick<ModelConfig, 'attention' | 'heads'>): number {
  const widths = attention.map(({ latent, keyDim, valueDim }) =>
    latent === null ? 0 : heads * (2 * keyDim + valueDim + 3 * (latent.rank + latent.ropeDim)),
  )
  return Math.max(0, ...widths)
}
