import { basename } from 'node:path'
import type { ModelConfig } from '../architecture/model-config.ts'
import { describeModel, type ModelFacts } from '../architecture/model-facts.ts'
import { overridePreset } from '../architecture/preset-config.ts'
import { readModelConfig } from '../architecture/read-config.ts'
import type { Checkpoint } from '../checkpoints/checkpoint.ts'
import { openCheckpoint } from '../checkpoints/open.ts'
import { confine } from '../checkpoints/roots.ts'
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
  if ('local' in source) {
    const checkpoint = await openCheckpoint(await confine(source.local.path, roots))
    const shapes = new Map(
      [...checkpoint.tensors, ...(checkpoint.unread ?? [])].map(([name, { shape }]) => [name, shape]),
    )
    const config = readModelConfig(checkpoint.config, basename(checkpoint.directory))
    return { config, shapes, synthetic: checkpoint.synthetic, checkpoint }
  }
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
 * What a model is, for GraphQL's `Model` and `KvCache`.
 * @throws as readSource
 */
export async function describeSource(source: ModelSource, roots: readonly string[]): Promise<ModelFacts> {
  const { config, shapes } = await readSource(source, roots)
  return describeModel(config, shapes)
}
