import type { GraphBuilder, Value } from '../onnx/graph.ts'
import { add, concat, divide, gather, matMul, oneHot, reduceSum, reshape, shapeOf, split, topK } from '../onnx/ops.ts'
import { type RouterSpec, type Routes, route } from './expert-router.ts'
import type { ModelBuilder } from './family.ts'
import { type GatedParts, gatedParts } from './mlp.ts'

/** One layer's experts, in place of its MLP. */
export interface ExpertsSpec {
  router: RouterSpec
  /** where the routed expert of this index lies */
  expert(index: number): GatedParts
  /** experts that every token goes to, stored as one MLP (Dai et al. 2024, DeepSeekMoE, section 3.2) */
  shared?: GatedParts
}

/**
 * Mixture of experts (Shazeer et al. 2017, eq. 1): each token goes through the k experts that the router chose for it, and
 * their results are added by its weights. x: [B, S, hiddenSize] -> the same
 */
export function experts(
  model: ModelBuilder,
  g: GraphBuilder,
  x: Value,
  { router, expert, shared }: ExpertsSpec,
): Value {
  const tokens = reshape(g, x, [-1, model.config.hiddenSize]) // [N, hiddenSize], N = B S
  const routes = route(model, g.at('router'), tokens, router)
  const { rows, places } = sortByExpert(g.at('sorted'), tokens, routes, router)
  const results = rows.map((own, index) => gatedParts(model, g.at(`experts.${index}`), own, expert(index)))
  const at = g.at('combined')
  const chosen = gather(at, concat(at, results, 0), places) // [N k, hiddenSize], in the tokens' order
  const byToken = reshape(at, chosen, [-1, router.chosen, model.config.hiddenSize])
  const weights = reshape(at, routes.weights, [-1, 1, router.chosen])
  const routed = reshape(at, matMul(at, weights, byToken), shapeOf(at, x)) // [B, S, hiddenSize]
  return shared === undefined ? routed : add(g, routed, gatedParts(model, g.at('shared_experts'), x, shared))
}

/**
 * Every token once for each expert that it goes to, in the experts' order, cut into one piece an expert. An expert that
 * no token goes to has a piece of no rows, and the runtime ends its matrix products before it reads a weight.
 */
function sortByExpert(
  g: GraphBuilder,
  tokens: Value,
  routes: Routes,
  { experts, chosen }: RouterSpec,
): { rows: Value[]; places: Value } {
  const pairs = reshape(g, routes.experts, [-1]) // [N k]: the experts of the first token, of the second ...
  const count = shapeOf(g, pairs)
  const order = topK(g.at('order'), pairs, count, false).indices // [N k]
  const places = topK(g.at('places'), order, count, false).indices // [N k]: its inverse
  const sorted = gather(g, tokens, divide(g, order, g.integers([chosen]))) // [N k, hiddenSize]
  const sizes = reduceSum(g, oneHot(g, pairs, experts), 0, false) // [E]
  const names = Array.from({ length: experts }, (_, index) => `expert${index}`)
  return { rows: Object.values(split(g, sorted, sizes, names, 0)), places }
}
