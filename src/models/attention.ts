import type { GraphBuilder, Value } from '../onnx/graph.ts'
import {
  add,
  concat,
  matMul,
  matMulTransposed,
  multiply,
  reshape,
  softmax,
  split,
  tanh,
  transpose,
} from '../onnx/ops.ts'

/** What one layer's attention is. B batch, S new tokens, P cached rows, H query heads, G = H / kvHeads. */
export interface AttentionSpec {
  heads: number
  kvHeads: number
  /** width of a query and a key */
  keyDim: number
  /** width of a value */
  valueDim: number
  /** what scores are multiplied by: 1 / sqrt(keyDim) unless the family says otherwise */
  scale: number
  /** a score s becomes cap x tanh(s / cap) before the mask (Gemma 2, section 2) */
  softCap?: number
  /** tokens a query may look back, itself included (Beltagy et al. 2020, section 3.1); absent: all earlier ones */
  window?: number
}

/** What all layers of a step share: sizes of this step's tensors, and the mask. */
export interface AttentionStep {
  sizes: {
    batch: Value // [1]: B
    tokens: Value // [1]: S
    parts: Value // [2]: P, S
    columns: Value // [1]: P + S
  }
  /** [P + S] int64: positions of the keys, those of spare rows too; built when first asked for */
  keyPositions(): Value
  /** [1, 1, S, P + S]: hides spare rows of the cache, and later tokens (causality) */
  mask: Value
}

export interface AttentionInputs {
  query: Value // [B, H, S, keyDim]
  key: Value // [B, KV, S, keyDim]
  value: Value // [B, KV, S, valueDim]
  cachedKey: Value // [B, KV, P, keyDim]
  cachedValue: Value // [B, KV, P, valueDim]
  /** [1, H, 1, P + S], added to the scaled scores; a family without one pays nothing */
  bias?: Value
}

export interface AttentionOutputs {
  context: Value // [B, H, S, valueDim]
  probabilities: Value // [B, H, S, P + S]
}

export type Attend = (
  g: GraphBuilder,
  spec: AttentionSpec,
  inputs: AttentionInputs,
  step: AttentionStep,
) => AttentionOutputs

/**
 * Scaled dot-product attention (Vaswani et al. 2017, eq. 1) over cached and new tokens, in split form: cached and new
 * keys and values are never joined, so that a step copies nothing of the cache. Query heads that share a K/V head are
 * folded into rows of one matrix product, so that no key or value is repeated (Ainslie et al. 2023).
 *
 *    query ── fold ─┬─ x cachedKeyᵀ ─┐                                            ┌─ x cachedValue ─┐
 *  [B, H, S, d]     │                ├─ concat ── + mask ── softmax ── split ─────┤                 + ── unfold ── context
 *                   └─ x keyᵀ ───────┘         [B, H, S, P + S]                   └─ x value ───────┘     [B, H, S, dv]
 *
 * Linear biases (ALiBi) are added before the mask, where a family has them.
 *
 * For a prompt, with nothing cached, concat and split only copy: 3 % of the time of 512 tokens. An If around them would
 * spare that, and costs each generated token 8 %, since the runtime sets up a graph of its own for every layer's branch
 * (both measured on gpt2-medium, onnxruntime 1.30).
 */
export function attend(
  g: GraphBuilder,
  spec: AttentionSpec,
  { query, key, value, cachedKey, cachedValue, bias }: AttentionInputs,
  step: AttentionStep,
): AttentionOutputs {
  const { parts, columns } = step.sizes
  const { fold, unfold } = folding(g, spec, step)
  const folded = fold(query, g.integers([spec.keyDim])) // [B, KV, G S, d]
  const cachedScores = matMulTransposed(g.at('cached'), folded, cachedKey, 4, spec.scale) // [B, KV, G S, P]
  const newScores = matMulTransposed(g.at('new'), folded, key, 4, spec.scale) // [B, KV, G S, S]
  const uncapped = unfold(concat(g, [cachedScores, newScores], -1), columns) // [B, H, S, P + S]
  const scores = spec.softCap === undefined ? uncapped : softCap(g.at('cap'), uncapped, spec.softCap)
  const biased = bias ? add(g, scores, bias) : scores
  const probabilities = softmax(g, add(g, biased, step.mask)) // [B, H, S, P + S]
  const { toCached, toNew } = split(g, fold(probabilities, columns), parts, ['toCached', 'toNew'])
  const fromCached = matMul(g.at('cached'), toCached, cachedValue) // [B, KV, G S, dv]
  const fromNew = matMul(g.at('new'), toNew, value)
  const context = unfold(add(g, fromCached, fromNew), g.integers([spec.valueDim])) // [B, H, S, dv]
  return { context, probabilities }
}

/**
 * [B, H, S, w] <-> [B, KV, G S, w]. Heads of one KV group are neighbours (head h reads K/V head floor(h / G)), so this is
 * a change of shape alone; with a K/V head for every query head, none. Every size is spelled out, as w may be zero rows
 * of cache, and ONNX's -1 cannot be told beside a zero.
 */
export function folding(
  g: GraphBuilder,
  { heads, kvHeads }: Pick<AttentionSpec, 'heads' | 'kvHeads'>,
  { sizes: { batch, tokens } }: AttentionStep,
): Record<'fold' | 'unfold', (x: Value, width: Value) => Value> {
  if (heads === kvHeads) {
    const same = (x: Value) => x
    return { fold: same, unfold: same }
  }
  const rows = multiply(g, tokens, g.integers([heads / kvHeads])) // G S
  const shaped = (sizes: readonly Value[]) => (x: Value, width: Value) => reshape(g, x, concat(g, [...sizes, width], 0))
  return {
    fold: shaped([batch, g.integers([kvHeads]), rows]),
    unfold: shaped([batch, g.integers([heads]), tokens]),
  }
}

/** cap x tanh(x / cap): close to x where x is small, never beyond the cap. */
export function softCap(g: GraphBuilder, x: Value, cap: number): Value {
  return multiply(g, tanh(g, multiply(g, x, g.floats([1 / cap]))), g.floats([cap]))
}

/** [B, S, n d] -> [B, n, S, d] */
export function splitHeads(g: GraphBuilder, x: Value, heads: number, width: number): Value {
  return transpose(g, reshape(g, x, [0, 0, heads, width]), [0, 2, 1, 3])
}

/** [B, n, S, d] -> [B, S, n d] */
export function mergeHeads(g: GraphBuilder, x: Value, heads: number, width: number): Value {
  return reshape(g, transpose(g, x, [0, 2, 1, 3]), [0, 0, heads * width])
}
