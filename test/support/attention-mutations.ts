import { type Attend, attend } from '../../src/models/attention.ts'
import type { GraphBuilder, Value } from '../../src/onnx/graph.ts'
import { gather } from '../../src/onnx/ops.ts'

/** Attention blocks that are wrong in one way each. A golden that one of them passes proves nothing about it. */

/** The scores are not divided by the square root of the head dim. */
export const withoutScale: Attend = (g, spec, inputs, step) => attend(g, { ...spec, scale: 1 }, inputs, step)

/** A token sees those after it. */
export const withoutCausalMask: Attend = (g, spec, inputs, step) =>
  attend(g, spec, inputs, { ...step, mask: g.floats([0]) })

/** Query heads go to K/V heads in turn, 0 1 0 1 0 1, where the groups are neighbours, 0 0 0 1 1 1. */
export const withInterleavedGroups: Attend = (g, spec, inputs, step) => {
  const { heads, kvHeads } = spec
  const neighbours = Array.from({ length: heads }, (_, head) => head).sort(
    (a, b) => (a % kvHeads) - (b % kvHeads) || a - b,
  )
  const back = neighbours.map((_, head) => neighbours.indexOf(head))
  const { context, probabilities } = attend(g, spec, { ...inputs, query: ordered(g, inputs.query, neighbours) }, step)
  return { context: ordered(g, context, back), probabilities: ordered(g, probabilities, back) }
}

/** [B, H, ...] with the heads in another order. */
function ordered(g: GraphBuilder, value: Value, order: readonly number[]): Value {
  return gather(g.at('reordered'), value, g.integers(order), 1)
}
