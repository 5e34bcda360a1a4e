import { basename } from 'node:path'
import { detectAttention } from '../architecture/detect-attention.ts'
import { storedWeightBytes } from '../architecture/kv-fit.ts'
import { findKvHeadCopies, type KvHeadCopies } from '../architecture/kv-head-copies.ts'
import { followShapes } from '../architecture/kv-heads-by-shape.ts'
import type { ModelConfig } from '../architecture/model-config.ts'
import { describeModel, type ModelFacts } from '../architecture/model-facts.ts'
import { overridePreset } from '../architecture/preset-config.ts'
import { readModelConfig } from '../architecture/read-config.ts'
import type { Checkpoint, WeightDtype } from '../checkpoints/checkpoint.ts'
import { nameOfFolder } from '../checkpoints/hub-cache.ts'
import { openRemoteHeaders, type RemoteHeaders } from '../checkpoints/hub-headers.ts'
import { nameOfRepo } from '../checkpoints/hub-names.ts'
import { connectHub } from '../checkpoints/hub-request.ts'
import { findSnapshot, pinModel } from '../checkpoints/hub-snapshot.ts'
import { bytesOfRemote } from '../checkpoints/hub-weights.ts'
import { openExport } from '../checkpoints/onnx-export.ts'
import { openCheckpoint } from '../checkpoints/open.ts'
import { confine } from '../checkpoints/roots.ts'
import { bytesOfTensors } from '../checkpoints/weight-bytes.ts'
import type { HubSettings } from '../config.ts'
import { AppError } from '../errors.ts'
import type { HubSource, ModelSource } from './spec.ts'

/** A source read as far as headers: no weight has been opened. */
export interface ReadSource {
  config: ModelConfig
  /** by tensor name; null where there are no weights to have shapes */
  shapes: ReadonlyMap<string, readonly number[]> | null
  synthetic: boolean
  /** null where the source is no folder of weights */
  checkpoint: Checkpoint | null
  /** what the hub says of a model that is not in the cache; absent elsewhere */
  remote?: RemoteHeaders
}

/**
 * Reads what a source says of its model: config.json and the headers of the weights, or a preset's fields.
 * @param roots folders that local checkpoints may be read from
 * @param hub where hub models are asked for; of one that the cache lacks headers are fetched alone
 * @throws AppError PATH_FORBIDDEN, NOT_FOUND, VALIDATION_FAILED, CHECKPOINT_INVALID or CONFIG_UNSUPPORTED
 */
export async function readSource(source: ModelSource, roots: readonly string[], hub: HubSettings): Promise<ReadSource> {
  if ('hub' in source) return describeHub(source, hub)
  if ('local' in source) return describeFolder(await openCheckpoint(await confine(source.local.path, roots)))
  if ('synthetic' in source) {
    const { preset, overrides } = source.synthetic
    return { config: overridePreset(preset, overrides).config, shapes: null, synthetic: true, checkpoint: null }
  }
  const { config } = source
  const named = typeof config._name_or_path === 'string' ? basename(config._name_or_path) : ''
  return {
    config: readModelConfig(config, named || String(config.model_type)),
    shapes: null,
    synthetic: false,
    checkpoint: null,
  }
}

/**
 * The same of a folder's ONNX export, whose weights need not lie in safetensors beside it.
 * @param dtype of the export to take; null: what the folder holds
 * @throws AppError NOT_FOUND where there is no export, and those of readSource
 */
export async function readExport(
  source: ModelSource,
  dtype: WeightDtype | null,
  roots: readonly string[],
): Promise<ReadSource> {
  if (!('local' in source)) throw new AppError('VALIDATION_FAILED', 'an ONNX export lies in a local folder')
  return describeFolder(await openExport(await confine(source.local.path, roots), dtype))
}

async function describeHub({ hub: { repo, revision, commit } }: HubSource, settings: HubSettings): Promise<ReadSource> {
  const hub = await connectHub(settings)
  const model = commit === null ? await pinModel(hub, { repo, revision }) : { repo, revision, commit }
  const folder = await findSnapshot(hub, model, 'weights')
  if (folder !== null) return describeFolder(await openCheckpoint(folder))
  const remote = await openRemoteHeaders(hub, model)
  const shapes = new Map([...remote.tensors, ...remote.unread].map(([name, { shape }]) => [name, shape]))
  return {
    config: readModelConfig(remote.config, nameOfRepo(repo)),
    shapes: shapes.size === 0 ? null : shapes,
    synthetic: remote.synthetic,
    checkpoint: null,
    remote,
  }
}

function describeFolder(checkpoint: Checkpoint): ReadSource {
  const { tensors, unread, directory, synthetic } = checkpoint
  const shapes = new Map([...tensors, ...(unread ?? [])].map(([name, { shape }]) => [name, shape]))
  const config = readModelConfig(checkpoint.config, nameOfFolder(directory))
  return { config, shapes: shapes.size === 0 ? null : shapes, synthetic, checkpoint }
}

/**
 * What the K/V heads say by their values: of a folder's layer 0, and of all its layers where that holds copies; of a hub
 * model that the cache lacks layer 0 alone, for which its K and V are fetched.
 * @param hub where hub models are asked for; null: fetch nothing
 * @returns null where there are no weights at hand, and for MLA
 * @throws AppError CHECKPOINT_INVALID where the weights are not those of config.json, and those of the hub
 */
export async function readKvHeadCopies(
  { config, shapes, checkpoint, remote }: ReadSource,
  hub: HubSettings | null,
): Promise<KvHeadCopies | null> {
  if (shapes === null) return null
  const followed = followShapes(config, shapes)
  if (remote && hub) return findKvHeadCopies(followed, bytesOfRemote(await connectHub(hub), remote))
  if (checkpoint === null) return null
  const layers = Array.from({ length: config.layers }, (_, layer) => layer)
  return findKvHeadCopies(followed, bytesOfTensors(checkpoint), layers)
}

/**
 * What a model is, for GraphQL's `Model`: by its config, and where weights are at hand by their shapes and values.
 * @throws as readSource
 */
export async function describeSource(
  source: ModelSource,
  roots: readonly string[],
  hub: HubSettings,
): Promise<ModelFacts> {
  const read = await readSource(source, roots, hub)
  return describeModel(read.config, read.shapes, await readKvHeadCopies(read, null))
}

/** A model as its KV cache is counted. */
export interface CachedModel {
  /** with the K/V heads of the weights, where there are weights */
  config: ModelConfig
  /** of the weights as stored; null where there are none or not all of them are in dtypes that the engine reads */
  weightBytes: number | null
}

/**
 * The model whose KV cache a source has.
 * @throws as readSource
 */
export async function readCachedModel(
  source: ModelSource,
  roots: readonly string[],
  hub: HubSettings,
): Promise<CachedModel> {
  const { config: stated, shapes, checkpoint, remote } = await readSource(source, roots, hub)
  const { config } = detectAttention(stated, shapes)
  const tensors = checkpoint?.tensors ?? remote?.tensors
  return { config, weightBytes: tensors ? storedWeightBytes(config, tensors) : null }
}
