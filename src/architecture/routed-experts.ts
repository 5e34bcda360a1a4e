import { unsupported } from './fields.ts'
import type { ExpectedTensor, RoutedExperts } from './model-config.ts'

/** The same tensors as those of one of a layer's experts. */
export function routedTo(tensors: readonly ExpectedTensor[], routed: RoutedExperts): ExpectedTensor[] {
  return tensors.map((tensor) => ({ ...tensor, routed }))
}

/** Part of a tensor that one token is computed with, all experts of its layer taken together: k of E. */
export function usedShare({ routed }: Pick<ExpectedTensor, 'routed'>): number {
  return routed === undefined ? 1 : routed.chosen / routed.experts
}

/** Experts of all layers that may be listed by name: twice DeepSeek-V3's 61 x 256. */
const mostExperts = 32_768

/** @throws AppError CONFIG_UNSUPPORTED where all layers together have more experts than can be listed */
export function requireListable(field: string, experts: number, layers: number): void {
  if (experts * layers <= mostExperts) return
  unsupported(field, experts, `all layers together may have ${mostExperts} experts`)
}
