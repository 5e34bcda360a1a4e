import type { AttentionShape, ModelConfig } from './model-config.ts'

/** Bits of one cached value. Scales and zero points of quantised caches come on top and are not counted. */
export const kvDtypeBits = { F32: 32, F16: 16, BF16: 16, FP8: 8, INT8: 8, INT4: 4 } as const
export type KvDtype = keyof typeof kvDtypeBits

/**
 * K/V heads over all devices of a tensor-parallel group: a device cannot hold less than one head, so fewer heads than
 * devices are copied (Touvron et al. 2023, Llama 2, appendix A.2.1).
 */
export function effectiveKvHeads(kvHeads: number, tensorParallel: number): number {
  return Math.max(kvHeads, tensorParallel)
}

/**
 * Values that one layer caches for one token, over all devices: kv_heads x (key dim + value dim), or for MLA the latent
 * and the rotary key, which every device keeps (DeepSeek-AI 2024, DeepSeek-V2, table 1).
 */
export function valuesPerToken(shape: AttentionShape, tensorParallel = 1): number {
  if (shape.latent) return (shape.latent.rank + shape.latent.ropeDim) * tensorParallel
  return effectiveKvHeads(shape.kvHeads ?? 0, tensorParallel) * (shape.keyDim + shape.valueDim)
}

/** Tokens that a layer keeps of a context: a sliding window caps them. */
export function cachedTokens(shape: AttentionShape, contextLength: number): number {
  return Math.min(contextLength, shape.window ?? contextLength)
}

/** Values that all layers cache for one sequence of `contextLength` tokens, over all devices. */
export function valuesPerSequence(
  config: Pick<ModelConfig, 'attention'>,
  contextLength: number,
  tensorParallel = 1,
): number {
  return config.attention.reduce(
    (sum, shape) => sum + valuesPerToken(shape, tensorParallel) * cachedTokens(shape, contextLength),
    0,
  )
}

/** Bytes of `values` values, each of `bits` bits, packed. */
export function bytesOfValues(values: number, bits: number): number {
  return Math.ceil((values * bits) / 8)
}
