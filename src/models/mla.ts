import type { GraphBuilder, Value } from '../onnx/graph.ts'
import {
  add,
  concat,
  expand,
  greater,
  matMul,
  matMulTransposed,
  sizeOf,
  softmax,
  split,
  subtract,
  where,
} from '../onnx/ops.ts'
import { type AttentionOutputs, type AttentionStep, folding } from './attention.ts'

/** What one layer's multi-head latent attention is (DeepSeek-AI 2024, DeepSeek-V2, section 2.1). H query heads. */
export interface LatentSpec {
  heads: number
  /** width of the cached latent */
  rank: number
  /** width of the rotary key, which is cached beside it and is one for all heads */
  ropeDim: number
  /** values of a head's key that are made of the latent */
  nopeDim: number
  /** width of a value */
  valueDim: number
  /** what scores are multiplied by */
  scale: number
}

/** One row of the cache is [latent, rotary key], rank + ropeDim values, and nothing else is cached. P cached rows. */
export interface LatentInputs {
  query: Value // [B, H, S, nopeDim]
  rotaryQuery: Value // [B, H, S, ropeDim], turned
  latent: Value // [B, 1, S, rank], after its norm
  rotaryKey: Value // [B, 1, S, ropeDim], turned
  cached: Value // [B, 1, P, rank + ropeDim]
  /** W_UK and W_UV of every head, which make its keys and values of a latent */
  keyUp: Value // [1, H, nopeDim, rank]
  valueUp: Value // [1, H, valueDim, rank]
}

export type AttendLatent = (
  g: GraphBuilder,
  spec: LatentSpec,
  inputs: LatentInputs,
  step: AttentionStep,
) => AttentionOutputs

/** Width of a cached row. */
export function latentWidth({ rank, ropeDim }: Pick<LatentSpec, 'rank' | 'ropeDim'>): number {
  return rank + ropeDim
}

/**
 * Multi-head latent attention over cached and new tokens, in split form: new tokens decompressed, cached ones absorbed.
 *
 * New tokens: every head's keys and values are made of the latents, k = [W_UK c, rotary key] and v = W_UV c (equations 10
 * to 18), as is cheapest for the many tokens of a prompt.
 *
 * Cached tokens: since q . (W_UK c) = (W_UKᵀ q) . c, and the values' mean is W_UV times the latents' mean, the cached rows
 * are met as they are (section 2.1.2). Queries go through W_UK instead of keys; the rows are one K/V head that all query
 * heads read, once; and what they read of it goes through W_UV. So a step reads rank + ropeDim values a cached token.
 *
 * B batch, S new tokens, P cached rows; M is S where there are cached rows, else 0.
 *
 *   query ─ x W_UK ─┐
 *   rotary query ───┴─ fold ─ x cachedᵀ ─┐                              ┌─ x cached ─ first rank values ─ x W_UVᵀ ─┐
 *   [query, rotary query] ─ x keyᵀ ──────┴─ + mask ─ softmax ─ split ───┴─ x value ────────────────────────────────┴─ + ─ context
 *
 * With nothing cached no query goes through the absorbed half: its products with W_UK and W_UV were 11 % of a prompt of
 * 512 tokens (four dense layers of DeepSeek-V2-Lite's widths). A generated token reads W_UK and W_UV twice, the second
 * time for its own row.
 */
export function attendLatent(
  g: GraphBuilder,
  spec: LatentSpec,
  { query, rotaryQuery, latent, rotaryKey, cached, keyUp, valueUp }: LatentInputs,
  step: AttentionStep,
): AttentionOutputs {
  const { heads, rank, ropeDim, valueDim, scale } = spec
  const { batch, tokens, parts } = step.sizes
  const [old, fresh] = [g.at('cached'), g.at('new')]
  const width = g.integers([latentWidth(spec)])
  const rows = sizeOf(old, cached, 2) // [1]: P
  const met = where(old, greater(old, rows, g.integers([0])), tokens, g.integers([0])) // [1]: M, S or nothing
  const rest = subtract(old, tokens, met)
  const queries = concat(old, [met, rest], 0)
  const meeting = (x: Value) => split(old, x, queries, ['meeting', 'rest'], 2).meeting // [B, H, S, w] -> [B, H, M, w]
  const all = folding(g, { heads, kvHeads: 1 }, step)
  const some = folding(old, { heads, kvHeads: 1 }, { ...step, sizes: { ...step.sizes, tokens: met } })

  const latentQuery = matMul(old.at('W_UK'), meeting(query), keyUp) // [B, H, M, rank]
  const absorbed = some.fold(concat(old, [latentQuery, meeting(rotaryQuery)], -1), width) // [B, 1, H M, rank + ropeDim]
  const cachedScores = all.unfold(matMulTransposed(old, absorbed, cached, 4, scale), rows) // [B, H, S, P]

  const everyHead = concat(fresh, [batch, g.integers([heads]), tokens, g.integers([ropeDim])], 0)
  const decompressed = matMulTransposed(fresh.at('W_UK'), latent, keyUp, 4) // [B, H, S, nopeDim]
  const key = concat(fresh, [decompressed, expand(fresh, rotaryKey, everyHead)], -1) // [B, H, S, nopeDim + ropeDim]
  const value = matMulTransposed(fresh.at('W_UV'), latent, valueUp, 4) // [B, H, S, valueDim]
  const newScores = matMulTransposed(fresh, concat(fresh, [query, rotaryQuery], -1), key, 4, scale) // [B, H, S, S]

  const scores = concat(g, [cachedScores, newScores], -1) // [B, H, S, P + S]
  const probabilities = softmax(g, add(g, scores, step.mask))
  const { toCached, toNew } = split(g, probabilities, parts, ['toCached', 'toNew'])
  const seen = some.unfold(matMul(old, some.fold(meeting(toCached), rows), cached), width) // [B, H, M, rank + ropeDim]
  const { mean } = split(old, seen, g.integers([rank, ropeDim]), ['mean', 'rotary'])
  const fromCached = matMulTransposed(old.at('W_UV'), mean, valueUp, 4) // [B, H, M, valueDim]
  const nothing = expand(old, g.floats([0]), concat(old, [batch, g.integers([heads]), rest, g.integers([valueDim])], 0))
  const context = add(g, concat(old, [fromCached, nothing], 2), matMul(fresh, toNew, value)) // [B, H, S, valueDim]
  return { context, probabilities }
}
