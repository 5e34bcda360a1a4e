import { AppError } from '../errors.ts'
import { asKinds } from './kv-as-kinds.ts'
import { type Factor, kvFactors, kvFormula } from './kv-factors.ts'
import { bytesOfValues, type KvDtype, kvDtypeBits, valuesPerSequence, valuesPerToken } from './kv-values.ts'
import { type LayerAttention, layerAttention, overallAttention } from './layer-attention.ts'
import type { AttentionKind, ModelConfig } from './model-config.ts'
import { parameterCount } from './parameters.ts'

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
}

export interface KvCacheAs {
  label: string
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
  layers: LayerAttention[]
  asKinds: KvCacheAs[]
  /** bytes of all weights, in the config's own dtype, or 16 bits a value where it names none */
  weightBytes: number
  /** sequences of contextLength tokens that fit beside the weights; null where memoryBytes was not given */
  sequencesThatFit: number | null
}

const weightBits: Record<string, number> = { float32: 32, float16: 16, bfloat16: 16, float8_e4m3fn: 8 }

function weightBytesOf(config: ModelConfig): number {
  const dtype = config.raw.dtype ?? config.raw.torch_dtype
  return bytesOfValues(parameterCount(config), weightBits[String(dtype)] ?? 16)
}

function checkQuestion(question: Required<KvCacheQuestion>): void {
  for (const name of ['contextLength', 'batch', 'tensorParallel', 'memoryBytes'] as const) {
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
  const question = { batch: 1, dtype: 'F16', tensorParallel: 1, memoryBytes: null, ...asked } as const
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

  const weightBytes = weightBytesOf(config)
  return {
    kind: overallAttention(config).kind,
    bytes,
    bytesPerToken: kvBytesPerToken(config, sizes.bitsPerValue, tensorParallel),
    bytesPerDevice: perDevice(config, sizes),
    formula: kvFormula(factors),
    factors,
    layers: layerAttention(config, tensorParallel),
    asKinds: alternatives,
    weightBytes,
    sequencesThatFit:
      memoryBytes === null
        ? null
        : Math.max(
            0,
            Math.floor((memoryBytes - weightBytes / tensorParallel) / perDevice(config, { ...sizes, batch: 1 })),
          ),
  }
}

/** Bytes on the device that keeps the most K/V heads; where heads do not divide evenly some devices keep one more. */
function perDevice(config: ModelConfig, sizes: Required<KvCacheSizes>): number {
  const attention = config.attention.map((shape) =>
    shape.kvHeads === null ? shape : { ...shape, kvHeads: Math.ceil(shape.kvHeads / sizes.tensorParallel) },
  )
  return kvCacheBytes({ attention }, { ...sizes, tensorParallel: 1 })
}
