import type { GraphBuilder, Value } from '../onnx/graph.ts'
import {
  add,
  choose,
  concat,
  matMul,
  matMulTransposed,
  multiply,
  reshape,
  softmax,
  split,
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
}

/** What all layers of a step share: sizes of this step's tensors, and the masks. */
export interface AttentionStep {
  sizes: {
    batch: Value // [1]: B
    tokens: Value // [1]: S
    cached: Value // [1]: P
    parts: Value // [2]: P, S
    nothingCached: Value // [1] bool: P = 0
  }
  /** [1, 1, 1, P]: hides spare rows of the cache */
  cachedMask: Value
  /** [S, S]: hides later tokens (causality) */
  causalMask: Value
}

export interface AttentionInputs {
  query: Value // [B, H, S, keyDim]
  key: Value // [B, KV, S, keyDim]
  value: Value // [B, KV, S, valueDim]
  cachedKey: Value // [B, KV, P, keyDim]
  cachedValue: Value // [B, KV, P, valueDim]
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
 *    query ── fold ─┬─ x cachedKeyᵀ ─ + cachedMask ─┐                             ┌─ x cachedValue ─┐
 *  [B, H, S, d]     │           [B, H, S, P]        ├─ concat ── softmax ── split ┤                 + ── unfold ── context
 *                   └─ x keyᵀ ─── + causalMask ─────┘        [B, H, S, P + S]     └─ x value ───────┘     [B, H, S, dv]
 *                               [B, H, S, S]
 *
 * With nothing cached the upper half is empty, and concat and split would only copy: the graph then goes
 * softmax ── x value at once.
 */
export function attend(
  g: GraphBuilder,
  spec: AttentionSpec,
  { query, key, value, cachedKey, cachedValue }: AttentionInputs,
  step: AttentionStep,
): AttentionOutputs {
  const { cached, tokens, parts, nothingCached } = step.sizes
  const { fold, unfold } = folding(g, spec, step)
  const folded = fold(g, query, g.integers([spec.keyDim])) // [B, KV, G S, d]

  const masked = (at: GraphBuilder, keys: Value, columns: Value, mask: Value) => {
    const scores = matMulTransposed(at, folded, keys, 4, spec.scale) // [B, KV, G S, columns]
    return add(at, unfold(at, scores, columns), mask) // [B, H, S, columns]
  }
  const weighted = (at: GraphBuilder, probabilities: Value, columns: Value, values: Value) =>
    matMul(at, fold(at, probabilities, columns), values) // [B, KV, G S, dv]

  const newScores = masked(g.at('new'), key, tokens, step.causalMask) // [B, H, S, S]
  const { context, probabilities } = choose(
    g,
    nothingCached,
    ['context', 'probabilities'],
    (prompt) => {
      const toNew = softmax(prompt.at('prompt'), newScores) // [B, H, S, S]
      return { context: weighted(prompt.at('prompt'), toNew, tokens, value), probabilities: toNew }
    },
    (later) => {
      const cachedScores = masked(later.at('cached'), cachedKey, cached, step.cachedMask) // [B, H, S, P]
      const toAll = softmax(later, concat(later, [cachedScores, newScores], -1)) // [B, H, S, P + S]
      const { toCached, toNew } = split(later, toAll, parts, ['toCached', 'toNew'])
      const fromCached = weighted(later.at('cached'), toCached, cached, cachedValue) // [B, KV, G S, dv]
      const fromNew = weighted(later.at('new'), toNew, tokens, value)
      return { context: add(later, fromCached, fromNew), probabilities: toAll }
    },
  )
  return { context: unfold(g, context, g.integers([spec.valueDim])), probabilities }
}

/**
 * [B, H, S, w] <-> [B, KV, G S, w]. Heads of one KV group are neighbours (head h reads K/V head floor(h / G)), so this is
 * a change of shape alone; with a K/V head for every query head, none. Every size is spelled out, as w may be zero rows
 * of cache, and ONNX's -1 cannot be told beside a zero.
 */
function folding(g: GraphBuilder, { heads, kvHeads }: AttentionSpec, { sizes: { batch, tokens } }: AttentionStep) {
  if (heads === kvHeads) {
    const same = (_: GraphBuilder, x: Value) => x
    return { fold: same, unfold: same }
  }
  const rows = multiply(g, tokens, g.integers([heads / kvHeads])) // G S
  const shaped = (sizes: readonly Value[]) => (at: GraphBuilder, x: Value, width: Value) =>
    reshape(at, x, concat(at, [...sizes, width], 0))
  return {
    fold: shaped([batch, g.integers([kvHeads]), rows]),
    unfold: shaped([batch, g.integers([heads]), tokens]),
  }
}

/** [B, S, n d] -> [B, n, S, d] */
export function splitHeads(g: GraphBuilder, x: Value, heads: number, width: number): Value {
  return transpose(g, reshape(g, x, [0, 0, heads, width]), [0, 2, 1, 3])
}

/** [B, n, S, d] -> [B, S, n d] */
export function mergeHeads(g: GraphBuilder, x: Value, heads: number, width: number): Value {
  return reshape(g, transpose(g, x, [0, 2, 1, 3]), [0, 0, heads * width])
}
