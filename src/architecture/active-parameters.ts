import { expectedTensors } from './expected-tensors.ts'
import type { ExpectedTensor, ModelConfig, RoutedExperts } from './model-config.ts'
import { usedShare } from './routed-experts.ts'

/**
 * Parameters that one token is computed with: all but those of the experts that it does not go through (Jiang et al. 2024,
 * Mixtral of Experts, table 1: 13 B of 47 B). Embeddings count whole, as in papers.
 */
export function activeParameterCount(config: ModelConfig): number {
  let total = 0
  for (const tensor of expectedTensors(config)) {
    total += tensor.shape.reduce((product, size) => product * size, 1) * usedShare(tensor)
  }
  return Math.round(total)
}

/** How many experts a layer has and a token goes through; null without experts. */
export function routedExperts(config: ModelConfig): RoutedExperts | null {
  return firstRouted(config)?.routed ?? null
}

/** Plans ask again and again, and DeepSeek-V3 has 45,000 tensors to list. */
const known = new WeakMap<ModelConfig, ExpectedTensor | null>()

function firstRouted(config: ModelConfig): ExpectedTensor | null {
  const seen = known.get(config)
  if (seen !== undefined) return seen
  const found = expectedTensors(config).find(({ routed }) => routed !== undefined) ?? null
  known.set(config, found)
  return found
}

/**
 * Values a token that one layer's experts hold at once in a step: its copies, results and products inside, once an expert
 * that it goes to; 0 without experts.
 */
export function routedWidth(config: ModelConfig): number {
  const tensor = firstRouted(config)
  if (tensor?.routed === undefined) return 0
  const inner = tensor.shape.reduce((product, size) => product * size, 1) / config.hiddenSize
  return tensor.routed.chosen * (4 * config.hiddenSize + 2 * inner)
}
