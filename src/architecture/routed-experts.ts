import { expectedTensors } from './expected-tensors.ts'
import type { ExpectedTensor, ModelConfig, RoutedExperts } from './model-config.ts'

/** The same tensors as those of one of a layer's experts. */
export function routedTo(tensors: readonly ExpectedTensor[], routed: RoutedExperts): ExpectedTensor[] {
  return tensors.map((tensor) => ({ ...tensor, routed }))
}

/** Part of a tensor that one token is computed with, all experts of its layer taken together: k of E. */
export function usedShare({ routed }: Pick<ExpectedTensor, 'routed'>): number {
  return routed === undefined ? 1 : routed.chosen / routed.experts
}

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
