import { bytesOfValues, type KvDtype, kvDtypeBits, valuesPerToken } from './kv-values.ts'
import type { AttentionKind, AttentionShape, ModelConfig } from './model-config.ts'

/** Layers whose attention is alike. */
export interface LayerAttention {
  /** 0-based, ascending */
  layers: number[]
  kind: AttentionKind
  kvHeads: number | null
  window: number | null
  /** bytes that all of these layers together cache for one token of one sequence, while their windows are not full */
  kvBytesPerToken: Record<KvDtype, number>
}

/** The bytes of `values` cached values in every dtype. */
export function bytesByDtype(values: number): Record<KvDtype, number> {
  const bytes = (dtype: KvDtype) => bytesOfValues(values, kvDtypeBits[dtype])
  return {
    F32: bytes('F32'),
    F16: bytes('F16'),
    BF16: bytes('BF16'),
    FP8: bytes('FP8'),
    INT8: bytes('INT8'),
    INT4: bytes('INT4'),
  }
}

/** Groups the layers whose attention is alike, in the order of their first layer. */
export function groupLayers({
  attention,
}: Pick<ModelConfig, 'attention'>): { shape: AttentionShape; layers: number[] }[] {
  const groups = new Map<string, { shape: AttentionShape; layers: number[] }>()
  for (const [layer, shape] of attention.entries()) {
    const key = JSON.stringify(shape)
    const group = groups.get(key) ?? { shape, layers: [] }
    group.layers.push(layer)
    groups.set(key, group)
  }
  return [...groups.values()]
}

/** The groups of layers with what they cache, over all devices of a tensor-parallel group. */
export function layerAttention(config: Pick<ModelConfig, 'attention'>, tensorParallel = 1): LayerAttention[] {
  return groupLayers(config).map(({ shape, layers }) => ({
    layers,
    kind: shape.kind,
    kvHeads: shape.kvHeads,
    window: shape.window,
    kvBytesPerToken: bytesByDtype(layers.length * valuesPerToken(shape, tensorParallel)),
  }))
}

/** The attention kind of the most layers, and the K/V heads where all layers have as many, else null. */
export function overallAttention(config: Pick<ModelConfig, 'attention'>): {
  kind: AttentionKind
  kvHeads: number | null
} {
  const groups = layerAttention(config)
  const largest = groups.reduce<LayerAttention | null>(
    (most, group) => (most && most.layers.length >= group.layers.length ? most : group),
    null,
  )
  const kvHeads = new Set(groups.map((group) => group.kvHeads))
  return { kind: largest?.kind ?? 'MHA', kvHeads: kvHeads.size === 1 ? (largest?.kvHeads ?? null) : null }
}
