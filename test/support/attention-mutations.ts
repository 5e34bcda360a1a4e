import { alibiSlopes } from '../../src/heads/alibi-baseline.ts'
import { type Attend, type AttentionSpec, attend } from '../../src/models/attention.ts'
import type { GraphBuilder, Value } from '../../src/onnx/graph.ts'
import { concat, gather, multiply } from '../../src/onnx/ops.ts'

/** Attention blocks that are wrong in one way each. A golden that one of them passes proves nothing about it. */

/** Scores are multiplied by something else. */
export function scaled(scaleOf: (spec: AttentionSpec) => number): Attend {
  return (g, spec, inputs, step) => attend(g, { ...spec, scale: scaleOf(spec) }, inputs, step)
}

/** Scores are as large as they come. */
export const withoutCap: Attend = (g, { softCap: _, ...spec }, inputs, step) => attend(g, spec, inputs, step)

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

/**
 * A fused projection's heads, which lie group by group [queries, key, value], are read as all queries, all keys, all
 * values, as GPT-2's lie. With one K/V head both are the same.
 */
export const withPartsSideBySide: Attend = (g, spec, inputs, step) => {
  const { heads, kvHeads } = spec
  const inGroup = heads / kvHeads
  const all = concat(g.at('fused'), [inputs.query, inputs.key, inputs.value], 1)
  const fused = Array.from({ length: kvHeads }, (_, group) => [
    ...Array.from({ length: inGroup }, (_, query) => group * inGroup + query),
    heads + group,
    heads + kvHeads + group,
  ]).flat()
  const read = (from: number, count: number) => ordered(g, all, fused.slice(from, from + count))
  const [query, key, value] = [read(0, heads), read(heads, kvHeads), read(heads + kvHeads, kvHeads)]
  return attend(g, spec, { ...inputs, query, key, value }, step)
}

/** A head's query meets another head's key, and the outcome goes where that head's belongs. */
export const withReversedQueries: Attend = (g, spec, inputs, step) => {
  const order = Array.from({ length: spec.heads }, (_, head) => spec.heads - 1 - head)
  return attend(g, spec, { ...inputs, query: ordered(g, inputs.query, order) }, step)
}

/** Every head has the ALiBi slope of another one. */
export const withOtherSlopes: Attend = (g, spec, inputs, step) => {
  const order = Array.from({ length: spec.heads }, (_, head) => (head + 1) % spec.heads)
  return attend(g, spec, { ...inputs, bias: ordered(g, biasOf(inputs), order) }, step)
}

/** ALiBi is added to the scaled scores as it is, and not scaled with them. */
export const withUnscaledAlibi: Attend = (g, spec, inputs, step) => {
  const bias = multiply(g.at('unscaled'), biasOf(inputs), g.floats([1 / spec.scale]))
  return attend(g, spec, { ...inputs, bias }, step)
}

/** ALiBi is added a second time, as transformers 5.23 does where it returns probabilities. */
export const withAlibiTwice: Attend = (g, spec, inputs, step) =>
  attend(g, spec, { ...inputs, bias: multiply(g.at('twice'), biasOf(inputs), g.floats([2])) }, step)

/** ALiBi as the paper has it, without the rounding to bfloat16; for a whole prompt alone. */
export function withExactAlibi(tokens: number): Attend {
  return (g, spec, inputs, step) => {
    const values = [...alibiSlopes(spec.heads)].flatMap((slope) =>
      Array.from({ length: tokens }, (_, position) => slope * position * spec.scale),
    )
    return attend(g, spec, { ...inputs, bias: g.floats(values, [1, spec.heads, 1, tokens]) }, step)
  }
}

function biasOf({ bias }: { bias?: Value }): Value {
  if (!bias) throw new Error('this model adds no bias to its scores')
  return bias
}

/** [B, H, ...] with the heads in another order. */
function ordered(g: GraphBuilder, value: Value, order: readonly number[]): Value {
  return gather(g.at('reordered'), value, g.integers(order), 1)
}
