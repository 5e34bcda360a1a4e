import { AppError } from '../errors.ts'
import { headsShape } from './attention-shape.ts'
import { familyOf } from './families.ts'
import type { AttentionShape, ModelConfig } from './model-config.ts'

export type Shapes = ReadonlyMap<string, readonly number[]>

/** What a layer's key tensor says of its attention, and in which words. */
export interface ShapeReading {
  shape: AttentionShape
  evidence: string
}

/**
 * K/V heads of a layer by the shape of the tensor that holds its keys. Fused rows are (n + 2 kv) x d, whatever their
 * order; keys apart are kv x d. Null where the tensor is not there.
 * @throws AppError CHECKPOINT_INVALID where its size makes no whole number of heads
 */
export function readShape(config: ModelConfig, shapes: Shapes, layer: number): ShapeReading | null {
  const { name, axis, holds } = familyOf(config).keyTensor(layer)
  const stated = config.attention[layer]
  const rows = shapes.get(name)?.[axis]
  if (rows === undefined || stated === undefined) return null
  const { heads, headDim } = config
  const size = `${name} has ${rows} ${axis === 0 ? 'rows' : 'columns'}`
  const invalid = (expected: string): never => {
    throw new AppError(
      'CHECKPOINT_INVALID',
      `${size}, and ${expected}`,
      'Check that weights and config.json belong together.',
    )
  }
  if (holds === 'LATENT') {
    const { rank = 0, ropeDim = 0 } = stated.latent ?? {}
    if (rows !== rank + ropeDim) invalid(`its config.json makes ${rank} + ${ropeDim}`)
    return { shape: stated, evidence: `${size} = ${rank} (latent) + ${ropeDim} (rotary key)` }
  }
  const kvHeads = holds === 'K' ? rows / headDim : (rows / headDim - heads) / 2
  if (!Number.isInteger(kvHeads) || kvHeads < 1 || heads % kvHeads !== 0) {
    return invalid(`${heads} query heads of ${headDim} leave ${kvHeads} K/V heads`)
  }
  const product = holds === 'K' ? `${kvHeads} x ${headDim}` : `(${heads} + 2 x ${kvHeads}) x ${headDim}`
  const shape = { ...headsShape({ heads, kvHeads, headDim, field: name }), window: stated.window }
  return { shape, evidence: `${size} = ${product}` }
}

/**
 * The config with the K/V heads that the weights show; layers whose key tensor is not among `shapes` stay as they are.
 * @throws AppError CHECKPOINT_INVALID as readShape does
 */
export function followShapes(config: ModelConfig, shapes: Shapes): ModelConfig {
  const attention = config.attention.map((stated, layer) => readShape(config, shapes, layer)?.shape ?? stated)
  return { ...config, attention }
}
