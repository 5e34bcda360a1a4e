import { basename } from 'node:path'
import type { ModelConfig } from '../architecture/model-config.ts'
import { describeModel, type ModelFacts } from '../architecture/model-facts.ts'
import { overridePreset } from '../architecture/preset-config.ts'
import { readModelConfig } from '../architecture/read-config.ts'
import type { Checkpoint, WeightDtype } from '../checkpoints/checkpoint.ts'
import { openExport } from '../checkpoints/onnx-export.ts'
import { openCheckpoint } from '../checkpoints/open.ts'
import { confine } from '../checkpoints/roots.ts'
import { AppError } from '../errors.ts'
import type { ModelSource } from './spec.ts'

/** A source read as far as headers: no weight has been opened. */
export interface ReadSource {
  config: ModelConfig
  /** by tensor name; null where there are no weights to have shapes */
  shapes: ReadonlyMap<string, readonly number[]> | null
  synthetic: boolean
  /** null where the source is no folder of weights */
  checkpoint: Checkpoint | null
}

/**
 * Reads what a source says of its model: config.json and the headers of the weights, or a preset's fields.
 * @param roots folders that local checkpoints may be read from
 * @throws AppError PATH_FORBIDDEN, NOT_FOUND, VALIDATION_FAILED, CHECKPOINT_INVALID or CONFIG_UNSUPPORTED
 */
export async function readSource(source: ModelSource, roots: readonly string[]): Promise<ReadSource> {
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

function describeFolder(checkpoint: Checkpoint): ReadSource {
  const { tensors, unread, directory, synthetic } = checkpoint
  const shapes = new Map([...tensors, ...(unread ?? [])].map(([name, { shape }]) => [name, shape]))
  const config = readModelConfig(checkpoint.config, basename(directory))
  return { config, shapes: shapes.size === 0 ? null : shapes, synthetic, checkpoint }
}

/**
 * What a model is, for GraphQL's `Model` and `KvCache`.
 * @throws as readSource
 */
export async function describeSource(source: ModelSource, roots: readonly string[]): Promise<ModelFacts> {
  const { config, shapes } = await readSource(source, roots)
  return describeModel(config, shapes)
}
