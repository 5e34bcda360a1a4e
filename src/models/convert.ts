import { createHash } from 'node:crypto'
import { expectedTensors } from '../architecture/expected-tensors.ts'
import { familyOf } from '../architecture/families.ts'
import type { ModelConfig } from '../architecture/model-config.ts'
import { withKvHeads } from '../architecture/pool-kv-heads.ts'
import type { Checkpoint, TensorEntry } from '../checkpoints/checkpoint.ts'
import { readTensor } from '../checkpoints/read-tensor.ts'
import type { TensorToWrite } from '../checkpoints/write-safetensors.ts'
import { AppError } from '../errors.ts'
import { derivedFile, derivedMetadata, openDerived } from './derived-weights.ts'
import { type HeadLayout, headAxis, type PoolMethod, poolHeads } from './head-pooling.ts'
import { findFamily } from './registry.ts'
import type { OpenedModel } from './synthetic.ts'

export interface Conversion {
  kvHeads: number
  method: PoolMethod
}

/** Part of every conversion's identity: change it whenever the numbers change. */
const conversionVersion = 1

const nameOf = ({ kvHeads, method }: Conversion) => `kv${kvHeads}-${method.toLowerCase()}`

/** The file of a checkpoint's conversion, whether it has been written yet or not. */
export function conversionFile(checkpoint: Checkpoint, conversion: Conversion, dataDir: string): string {
  return derivedFile(checkpoint, nameOf(conversion), dataDir)
}

/**
 * A checkpoint with fewer K/V heads, each the mean or the first of those it replaces (Ainslie et al. 2023). Only the
 * projections that hold K/V heads are written, once, into one small float32 file of the data folder; all other tensors
 * stay where the source has them. As many heads as there are gives the source itself.
 * @param onProgress told the share of the bytes written, 0 to 1; never called where nothing is written
 * @throws AppError VALIDATION_FAILED where the heads do not pool evenly, CONFIG_UNSUPPORTED for MLA and for families
 * the engine cannot run, CHECKPOINT_INVALID, OUT_OF_DISK
 */
export async function convertKvHeads(
  checkpoint: Checkpoint,
  config: ModelConfig,
  { kvHeads, method }: Conversion,
  dataDir: string,
  onProgress?: (fraction: number) => void,
): Promise<OpenedModel> {
  if (config.attention.some((shape) => shape.latent !== null)) {
    throw new AppError(
      'CONFIG_UNSUPPORTED',
      `${config.name} caches a latent (MLA), not K/V heads: there is nothing to pool into ${kvHeads}`,
      'Convert a model with MHA or GQA.',
    )
  }
  findFamily(config)
  const pooledConfig = withKvHeads(config, kvHeads)
  if (config.attention.every((shape) => shape.kvHeads === kvHeads)) return { checkpoint, config }

  const conversion = `${nameOf({ kvHeads, method })}/${conversionVersion}`
  const entries = await openDerived(
    conversionFile(checkpoint, { kvHeads, method }, dataDir),
    derivedMetadata(checkpoint, conversion),
    findReplaced(checkpoint, config, pooledConfig).map((tensor) => pooled(tensor, kvHeads, method)),
    onProgress,
  )
  return {
    checkpoint: {
      ...checkpoint,
      config: pooledConfig.raw,
      tensors: new Map([...checkpoint.tensors, ...entries]),
      fingerprint: createHash('sha256').update(`${checkpoint.fingerprint}\0${conversion}`).digest('hex'),
    },
    config: pooledConfig,
  }
}

interface ReplacedTensor {
  source: TensorEntry
  layout: HeadLayout
  shape: readonly number[]
}

/** The tensors whose shapes follow the number of K/V heads, and how the source lays its heads out in them. */
function findReplaced(checkpoint: Checkpoint, config: ModelConfig, pooledConfig: ModelConfig): ReplacedTensor[] {
  const shapes = new Map(expectedTensors(pooledConfig).map(({ name, shape }) => [name, shape]))
  return expectedTensors(config).flatMap(({ name, shape }) => {
    const pooledShape = shapes.get(name) ?? shape
    const axis = shape.findIndex((size, dimension) => size !== pooledShape[dimension])
    if (axis < 0) return []
    const source = checkpoint.tensors.get(name)
    if (source?.shape.join() !== shape.join()) {
      const found = source ? `has the shape [${source.shape}]` : 'is missing'
      throw new AppError(
        'CHECKPOINT_INVALID',
        `tensor ${name} of ${checkpoint.directory} ${found}; its config.json asks for [${shape}]`,
        'Check that config.json belongs to these weights.',
      )
    }
    return [{ source, layout: layoutOf(config, name, shape, axis), shape: pooledShape }]
  })
}

function layoutOf(config: ModelConfig, name: string, shape: readonly number[], axis: number): HeadLayout {
  const product = (sizes: readonly number[]) => sizes.reduce((total, size) => total * size, 1)
  const [attention] = config.attention
  const { holds, grouped } = familyOf(config).keyTensor(0)
  const fused = holds === 'QKV'
  const layout: HeadLayout = {
    outer: product(shape.slice(0, axis)),
    inner: product(shape.slice(axis + 1)),
    order: !fused ? 'ALONE' : grouped ? 'GROUPED' : 'SIDE_BY_SIDE',
    queries: fused ? config.heads : 0,
    kvHeads: attention?.kvHeads ?? 0,
    headDim: attention?.keyDim ?? 0,
  }
  if (headAxis(layout) !== shape[axis]) {
    throw new AppError('CONFIG_UNSUPPORTED', `the K/V heads of ${name} [${shape}] lie in no order that is known here`)
  }
  return layout
}

/** A tensor to write, pooled when its first piece is asked for: no more than one is in memory at a time. */
function pooled({ source, layout, shape }: ReplacedTensor, kvHeads: number, method: PoolMethod): TensorToWrite {
  let values: Float32Array = new Float32Array(0)
  return {
    name: source.name,
    shape,
    async fill(out, start) {
      if (start === 0) values = poolHeads(await readTensor(source), layout, kvHeads, method)
      out.set(values.subarray(start, start + out.length))
      if (start + out.length === values.length) values = new Float32Array(0)
    },
  }
}
