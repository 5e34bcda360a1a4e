import type { GraphBuilder, Value } from '../onnx/graph.ts'
import {
  add,
  cast,
  concat,
  divide,
  gather,
  matMul,
  oneHot,
  reduceSum,
  reshape,
  shapeOf,
  split,
  topK,
} from '../onnx/ops.ts'
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
 *
 * Of experts only those that some token goes to are read. In one layer of 64 experts, 8 of them chosen (hidden size 1,024,
 * inside 512, one thread), a token takes 3.6 ms so; 3.4 ms where each expert stands behind an If, which sets up a graph of
 * its own for it; 6.3 ms where the chosen weights are first gathered from one tensor; and 3.3 ms by onnxruntime's MoE, which
 * takes a third longer for a prompt of 256 tokens, knows one routing of several, and wants gate and up interleaved in one
 * tensor, so a copy of every expert on disk. Each expert that is not chosen costs 4 to 25 µs for its idle nodes (all
 * measured with onnxruntime 1.30).
 */
export function experts(model: ModelBuilder, g: GraphBuilder, x: Value, spec: ExpertsSpec): Value {
  const tokens = reshape(g, x, [-1, model.config.hiddenSize]) // [N, hiddenSize], N = B S
  const routes = route(model, g.at('router'), tokens, spec.router)
  const compute = g.options.emptyTensors === false ? throughAll : throughChosen
  const routed = reshape(g, compute(model, g, tokens, routes, spec), shapeOf(g, x)) // [B, S, hiddenSize]
  return spec.shared === undefined ? routed : add(g, routed, gatedParts(model, g.at('shared_experts'), x, spec.shared))
}

/** tokens: [N, hiddenSize] -> [N, 1, hiddenSize] */
function throughChosen(
  model: ModelBuilder,
  g: GraphBuilder,
  tokens: Value,
  routes: Routes,
  { router, expert }: ExpertsSpec,
): Value {
  const { rows, places } = sortByExpert(g.at('sorted'), tokens, routes, router)
  const results = rows.map((own, index) => gatedParts(model, g.at(`experts.${index}`), own, expert(index)))
  const at = g.at('combined')
  const chosen = gather(at, concat(at, results, 0), places) // [N k, hiddenSize], in the tokens' order
  const byToken = reshape(at, chosen, [-1, router.chosen, model.config.hiddenSize])
  return matMul(at, reshape(at, routes.weights, [-1, 1, router.chosen]), byToken)
}

/**
 * The same with every token through every expert, and a weight of 0 where the router did not choose it: for providers that
 * do not compute with empty tensors. Reads all weights. tokens: [N, hiddenSize] -> [N, 1, hiddenSize]
 */
function throughAll(
  model: ModelBuilder,
  g: GraphBuilder,
  tokens: Value,
  routes: Routes,
  { router, expert }: ExpertsSpec,
): Value {
  const all = Array.from({ length: router.experts }, (_, index) => {
    const result = gatedParts(model, g.at(`experts.${index}`), tokens, expert(index)) // [N, hiddenSize]
    return reshape(g.at('stacked'), result, [-1, 1, model.config.hiddenSize])
  })
  const at = g.at('combined')
  const chosen = cast(at, oneHot(at, routes.experts, router.experts), 'float32') // [N, k, E]
  const weights = matMul(at, reshape(at, routes.weights, [-1, 1, router.chosen]), chosen) // [N, 1, E]
  return matMul(at, weights, concat(at, all, 1))
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
