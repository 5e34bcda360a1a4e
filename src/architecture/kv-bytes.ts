import { AppError } from '../errors.ts'
import { asKinds } from './kv-as-kinds.ts'
import { type Factor, type KvProduct, kvFactors, kvFormula, kvProducts } from './kv-factors.ts'
import { fitByLength, type KvFit, longestThatFits, sequencesThatFit, weightBytesOf } from './kv-fit.ts'
import { bytesOfValues, type KvDtype, kvDtypeBits, valuesPerSequence, valuesPerToken } from './kv-values.ts'
import { type LayerAttention, layerAttention, overallAttention } from './layer-attention.ts'
import type { AttentionKind, ModelConfig } from './model-config.ts'

/**
 * Bytes that one token of one sequence adds to the KV cache of all layers: layers x KV heads x (key dim + value dim) x
 * bits / 8; for MLA layers x (rank + rotary key dim) x bits / 8. Sliding-window layers stop growing at their window.
 */
export function kvBytesPerToken(
  config: Pick<ModelConfig, 'attention'>,
  bitsPerValue: number,
  tensorParallel = 1,
): number {
  const values = config.attention.reduce((sum, shape) => sum + valuesPerToken(shape, tensorParallel), 0)
  return bytesOfValues(values, bitsPerValue)
}

export interface KvCacheSizes {
  /** tokens of each sequence */
  contextLength: number
  /** sequences; 1 by default */
  batch?: number
  bitsPerValue: number
  /** devices that share the heads; 1 by default */
  tensorParallel?: number
}

/** Bytes of the KV cache over all devices; a sliding window caps a layer's tokens. */
export function kvCacheBytes(config: Pick<ModelConfig, 'attention'>, sizes: KvCacheSizes): number {
  const { contextLength, batch = 1, bitsPerValue, tensorParallel = 1 } = sizes
  return bytesOfValues(valuesPerSequence(config, contextLength, tensorParallel) * batch, bitsPerValue)
}

export interface KvCacheQuestion {
  contextLength: number
  batch?: number
  dtype?: KvDtype
  tensorParallel?: number
  /** memory of one device, in bytes; null: do not ask how many sequences fit */
  memoryBytes?: number | null
  /** bytes of all weights as they are stored; null: as config.json makes them */
  weightBytes?: number | null
}

export interface KvCacheAs {
  label: string
  /** what "the same model" means here: what changes and what stays */
  meaning: string
  kind: AttentionKind
  kvHeads: number | null
  bytes: number
  /** these bytes / the bytes of the model as it is */
  ratio: number
}

/** The answer of GraphQL's `kvCache`. Bytes are over all devices unless the name says otherwise. */
export interface KvCacheReport {
  kind: AttentionKind
  bytes: number
  /** what one more token of one sequence costs while no window is full */
  bytesPerToken: number
  /** of the device that keeps the most */
  bytesPerDevice: number
  formula: string
  /** their product is `bytes` */
  factors: Factor[]
  /** one for each kind of layer; their bytes add up to `bytes` */
  products: KvProduct[]
  layers: LayerAttention[]
  asKinds: KvCacheAs[]
  /** bytes of all weights: as stored, or as config.json makes them (kv-fit's weightBytesOf) */
  weightBytes: number
  /** sequences of contextLength tokens that fit beside the weights; null where memoryBytes was not given */
  sequencesThatFit: number | null
  /** the same at other lengths, up to the model's context; empty where memoryBytes was not given */
  fits: KvFit[]
  /** tokens of each of `batch` sequences that fit at most; null where memoryBytes was not given */
  longestThatFits: number | null
}

function checkQuestion(question: Required<KvCacheQuestion>): void {
  for (const name of ['contextLength', 'batch', 'tensorParallel', 'memoryBytes', 'weightBytes'] as const) {
    const value = question[name]
    if (value === null || (Number.isSafeInteger(value) && value >= 1)) continue
    throw new AppError('VALIDATION_FAILED', `${name} is ${value}`, `${name} must be a whole number of at least 1.`)
  }
}

/**
 * The KV cache of a model with every factor, as other attention kinds, and how many sequences fit beside the weights.
 * Of a tensor-parallel group each device holds 1 / tensorParallel of the weights.
 * @throws AppError VALIDATION_FAILED for a size that is no whole number above 0 or a product beyond 2^53
 */
export function kvCacheReport(config: ModelConfig, asked: KvCacheQuestion): KvCacheReport {
  const question = {
    batch: 1,
    dtype: 'F16',
    tensorParallel: 1,
    memoryBytes: null,
    weightBytes: null,
    ...asked,
  } as const
  checkQuestion(question)
  const { contextLength, batch, tensorParallel, memoryBytes } = question
  const sizes = { contextLength, batch, tensorParallel, bitsPerValue: kvDtypeBits[question.dtype] }
  const bytes = kvCacheBytes(config, sizes)
  const factors = kvFactors(config, sizes)

  const alternatives = asKinds(config).map(({ attention, ...as }) => {
    const asBytes = kvCacheBytes({ attention }, sizes)
    return { ...as, bytes: asBytes, ratio: asBytes / bytes }
  })
  const largest = Math.max(bytes, ...alternatives.map((as) => as.bytes))
  if (!Number.isSafeInteger(largest)) {
    throw new AppError(
      'VALIDATION_FAILED',
      `${contextLength} tokens x ${batch} sequences make ${largest} bytes`,
      'Ask for less.',
    )
  }

  const weightBytes = question.weightBytes ?? weightBytesOf(config)
  return {
    kind: overallAttention(config).kind,
    bytes,
    bytesPerToken: kvBytesPerToken(config, sizes.bitsPerValue, tensorParallel),
    bytesPerDevice: perDevice(config, sizes),
    formula: kvFormula(factors),
    factors,
    products: kvProducts(config, sizes),
    layers: layerAttention(config, tensorParallel),
    asKinds: alternatives,
    weightBytes,
    ...fitting(config, sizes, memoryBytes === null ? null : memoryBytes - weightBytes / tensorParallel),
  }
}

function fitting(
  config: ModelConfig,
  sizes: Required<KvCacheSizes>,
  freeBytes: number | null,
): Pick<KvCacheReport, 'sequencesThatFit' | 'fits' | 'longestThatFits'> {
  if (freeBytes === null) return { sequencesThatFit: null, fits: [], longestThatFits: null }
  const question = {
    freeBytes,
    bytesOfSequence: (contextLength: number) => perDevice(config, { ...sizes, contextLength, batch: 1 }),
    contextLength: sizes.contextLength,
    longest: config.contextLength,
  }
  return {
    sequencesThatFit: sequencesThatFit(question, sizes.contextLength),
    fits: fitByLength(question),
    longestThatFits: longestThatFits(question, sizes.batch),
  }
}

/** Bytes on the device that keeps the most K/V heads; where heads do not divide evenly some devices keep one more. */
function perDevice(config: ModelConfig, sizes: Required<KvCacheSizes>): number {
  const attention = config.attention.map((shape) =>
    shape.kvHeads === null ? shape : { ...shape, kvHeads: Math.ceil(shape.kvHeads / sizes.tensorParallel) },
  )
  return kvCacheBytes({ attention }, { ...sizes, tensorParallel: 1 })
}
