import type { GraphBuilder, Value } from '../onnx/graph.ts'
import { reshape, split } from '../onnx/ops.ts'
import { splitHeads } from './attention.ts'
import type { NewHeads } from './family.ts'

/** Sizes of a fused projection: H query heads in groups of G = H / kvHeads. */
export interface FusedHeads {
  heads: number
  kvHeads: number
  headDim: number
}

/**
 * Queries, keys and values of a fused projection whose rows are grouped: for each K/V head its G query heads, its key, its
 * value. That is every layout of Falcon and GPT-BigCode: MHA's [q, k, v] of each head are groups of one, and MQA's rows,
 * all queries, one key, one value, are one group.
 * @param fused [B, S, (H + 2 KV) d]
 */
export function splitGroups(g: GraphBuilder, fused: Value, { heads, kvHeads, headDim }: FusedHeads): NewHeads {
  const inGroup = heads / kvHeads
  const byHead = splitHeads(g, fused, heads + 2 * kvHeads, headDim) // [B, H + 2 KV, S, d]
  const byGroup = reshape(g, byHead, [0, kvHeads, inGroup + 2, -1, headDim]) // [B, KV, G + 2, S, d]
  const parts = split(g, byGroup, g.integers([inGroup, 1, 1]), ['query', 'key', 'value'], 2)
  return {
    query: reshape(g, parts.query, [0, heads, -1, headDim]), // [B, H, S, d]
    key: reshape(g, parts.key, [0, kvHeads, -1, headDim]), // [B, KV, S, d]
    value: reshape(g, parts.value, [0, kvHeads, -1, headDim]),
  }
}

/** Width of a fused projection's output. */
export function fusedWidth({ heads, kvHeads, headDim }: FusedHeads): number {
  return (heads + 2 * kvHeads) * headDim
}
