import { bytesOfValues, cachedTokens, effectiveKvHeads, valuesPerSequence, valuesPerToken } from './kv-values.ts'
import { groupLayers } from './layer-attention.ts'
import { layerRanges } from './layer-ranges.ts'
import type { AttentionShape, ModelConfig } from './model-config.ts'

export interface Factor {
  name: string
  value: number
}

export interface KvSizes {
  contextLength: number
  batch: number
  bitsPerValue: number
  tensorParallel: number
}

function tokens(shape: AttentionShape, { contextLength }: KvSizes): Factor {
  const value = cachedTokens(shape, contextLength)
  return { name: value < contextLength ? `tokens (window of ${value})` : 'tokens', value }
}

function heads(shape: AttentionShape, { tensorParallel }: KvSizes): Factor[] {
  if (shape.latent) {
    const width = { name: 'latent rank + rotary key dim', value: shape.latent.rank + shape.latent.ropeDim }
    return tensorParallel > 1 ? [width, { name: 'devices (each keeps the latent)', value: tensorParallel }] : [width]
  }
  const kvHeads = shape.kvHeads ?? 0
  const value = effectiveKvHeads(kvHeads, tensorParallel)
  const copied = value > kvHeads ? ` (${kvHeads}, copied to ${tensorParallel} devices)` : ''
  const widths =
    shape.keyDim === shape.valueDim
      ? [
          { name: 'head dim', value: shape.keyDim },
          { name: 'K and V', value: 2 },
        ]
      : [{ name: 'key dim + value dim', value: shape.keyDim + shape.valueDim }]
  return [{ name: `KV heads${copied}`, value }, ...widths]
}

/**
 * The factors whose product is the bytes of the KV cache: l, b, g, h, 2, s and bytes per value where all layers are
 * alike; where they differ, the layers' values are one summed factor.
 */
export function kvFactors(config: Pick<ModelConfig, 'attention'>, sizes: KvSizes): Factor[] {
  const { attention } = config
  const [first] = attention
  const batch = { name: 'batch', value: sizes.batch }
  const width = { name: 'bytes per value', value: sizes.bitsPerValue / 8 }
  if (first && attention.every((shape) => JSON.stringify(shape) === JSON.stringify(first))) {
    const layers = { name: 'layers', value: attention.length }
    return [layers, batch, ...heads(first, sizes), tokens(first, sizes), width]
  }
  const values = valuesPerSequence(config, sizes.contextLength, sizes.tensorParallel)
  return [{ name: 'values of all layers and tokens', value: values }, batch, width]
}

/** Layers that are alike, and the product that their bytes are. */
export interface KvProduct {
  /** 0-based, ascending */
  layers: number[]
  factors: Factor[]
  formula: string
  bytes: number
}

/**
 * The KV cache as a sum of products, one for each kind of layer, every one to be checked by hand. Their bytes add up to
 * the cache's, but for less than a byte each where values are narrower than one.
 */
export function kvProducts(config: Pick<ModelConfig, 'attention'>, sizes: KvSizes): KvProduct[] {
  return groupLayers(config).map(({ shape, layers }) => {
    const factors = kvFactors({ attention: layers.map(() => shape) }, sizes)
    const values =
      layers.length * valuesPerToken(shape, sizes.tensorParallel) * cachedTokens(shape, sizes.contextLength)
    const bytes = bytesOfValues(values * sizes.batch, sizes.bitsPerValue)
    return { layers, factors, formula: `${kvFormula(factors)} (${layersName(layers)})`, bytes }
  })
}

function layersName(layers: readonly number[]): string {
  return `layer${layers.length > 1 ? 's' : ''} ${layerRanges(layers)}`
}

/** The factors in words: `layers x batch x KV heads x head dim x 2 (K and V) x tokens x bytes per value`. */
export function kvFormula(factors: readonly Factor[]): string {
  const spelled = ({ name, value }: Factor) => {
    if (name === 'K and V') return `${value} (${name})`
    return name.includes(' + ') ? `(${name})` : name
  }
  return factors.map(spelled).join(' x ')
}
