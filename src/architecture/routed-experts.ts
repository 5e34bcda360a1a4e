import type { ExpectedTensor, RoutedExperts } from './model-config.ts'

/** The same tensors as those of one of a layer's experts. */
export function routedTo(tensors: readonly ExpectedTensor[], routed: RoutedExperts): ExpectedTensor[] {
  return tensors.map((tensor) => ({ ...tensor, routed }))
}

/** Part of a tensor that one token is computed with, all experts of its layer taken together: k of E. */
export function usedShare({ routed }: Pick<ExpectedTensor, 'routed'>): number {
  return routed === undefined ? 1 : routed.chosen / routed.experts
}
