import type { GraphBuilder, Value } from '../onnx/graph.ts'
import { add, concat, matMul, matMulTransposed, reshape, softmax, split, transpose } from '../onnx/ops.ts'

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
    /** [2]: P, S */
    parts: Value
    /** [1] each */
    batch: Value
    tokens: Value
    cached: Value
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
 *      query ── fold ─┬── x cachedKeyᵀ ── + cachedMask ──┐
 *   [B,H,S,d]         │                                  ├─ concat ─ softmax ─ split ─┬─ x cachedValue ─┐
 *                     └── x keyᵀ ── + causalMask ────────┘   [B,H,S,P+S]              │                 + ─ unfold ─ context
 *                                                                                     └─ x value ───────┘  [B,H,S,dv]
 */
export function attend(
  g: GraphBuilder,
  spec: AttentionSpec,
  { query, key, value, cachedKey, cachedValue }: AttentionInputs,
  step: AttentionStep,
): AttentionOutputs {
  const { heads, kvHeads, keyDim, valueDim, scale } = spec
  const grouped = heads !== kvHeads
  const { batch, tokens, cached, parts } = step.sizes

  // Heads of one KV group are neighbours (head h reads K/V head floor(h / G)), so folding is a change of shape alone.
  // Every size is spelled out where P may be zero: -1 cannot be told beside a zero.
  const fold = (x: Value, width: Value) =>
    grouped ? reshape(g, x, concat(g, [batch, g.integers([kvHeads]), groupRows(g, spec, tokens), width], 0)) : x
  const unfold = (x: Value, width: Value) =>
    grouped ? reshape(g, x, concat(g, [batch, g.integers([heads]), tokens, width], 0)) : x

  const folded = fold(query, g.integers([keyDim])) // [B, KV, G S, d]
  const cachedScores = matMulTransposed(g.at('cached'), folded, cachedKey, 4, scale) // [B, KV, G S, P]
  const newScores = matMulTransposed(g.at('new'), folded, key, 4, scale) // [B, KV, G S, S]
  const scores = concat(
    g,
    [
      add(g.at('cached'), unfold(cachedScores, cached), step.cachedMask), // [B, H, S, P]
      add(g.at('new'), unfold(newScores, tokens), step.causalMask), // [B, H, S, S]
    ],
    -1,
  )
  const probabilities = softmax(g, scores) // [B, H, S, P + S]
  const [toCached, toNew] = split(g, probabilities, parts, 2)
  if (!toCached || !toNew) throw new Error('Split returned fewer than two parts')
  const context = add(
    g,
    matMul(g.at('cached'), fold(toCached, cached), cachedValue), // [B, KV, G S, dv]
    matMul(g.at('new'), fold(toNew, tokens), value), // [B, KV, G S, dv]
  )
  return { context: unfold(context, g.integers([valueDim])), probabilities }
}

/** G S, the rows of one folded KV group, as a vector of one int64. */
function groupRows(g: GraphBuilder, { heads, kvHeads }: AttentionSpec, tokens: Value): Value {
  return g.node('Mul', [tokens, g.integers([heads / kvHeads])])
}

/** [B, S, n d] -> [B, n, S, d] */
export function splitHeads(g: GraphBuilder, x: Value, heads: number, width: number): Value {
  return transpose(g, reshape(g, x, [0, 0, heads, width]), [0, 2, 1, 3])
}

/** [B, n, S, d] -> [B, S, n d] */
export function mergeHeads(g: GraphBuilder, x: Value, heads: number, width: number): Value {
  return reshape(g, transpose(g, x, [0, 2, 1, 3]), [0, 0, heads * width])
}
