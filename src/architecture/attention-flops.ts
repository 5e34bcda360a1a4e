import type { ModelConfig } from './model-config.ts'

/** Floating-point operations of the attention of all layers, a multiplication and an addition counted apart. */
export interface AttentionFlops {
  /** making queries */
  queries: number
  /** making keys and values, once for each K/V head */
  keysAndValues: number
  /** query times key, and probability times value: every query head meets every key, whoever else reads it */
  scores: number
  /** joining the heads */
  output: number
}

/**
 * FLOPs of attention in one forward pass of `tokens` tokens with an empty cache: a product of [m, k] and [k, n] takes
 * 2 m k n. Scores are counted dense, as most kernels compute them; a causal one computes half.
 */
export function attentionFlops(config: ModelConfig, tokens: number): AttentionFlops {
  const { heads, hiddenSize } = config
  const sum: AttentionFlops = { queries: 0, keysAndValues: 0, scores: 0, output: 0 }
  for (const { kvHeads, keyDim, valueDim } of config.attention) {
    sum.queries += 2 * tokens * hiddenSize * heads * keyDim
    sum.keysAndValues += 2 * tokens * hiddenSize * (kvHeads ?? 0) * (keyDim + valueDim)
    sum.scores += 2 * tokens * tokens * heads * (keyDim + valueDim)
    sum.output += 2 * tokens * hiddenSize * heads * valueDim
  }
  return sum
}
