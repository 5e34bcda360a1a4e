import { basename } from 'node:path'
import type { ModelConfig } from '../architecture/model-config.ts'
import { withKvHeads } from '../architecture/pool-kv-heads.ts'
import { overridePreset } from '../architecture/preset-config.ts'
import { readModelConfig } from '../architecture/read-config.ts'
import type { WeightDtype } from '../checkpoints/checkpoint.ts'
import { openCheckpoint } from '../checkpoints/open.ts'
import { confine } from '../checkpoints/roots.ts'
import type { SubjectSpec } from '../jobs/spec.ts'
import { storedDtype } from './stored-dtype.ts'

/** What can be known of a subject without reading or making a weight. */
export interface SubjectPlan {
  name: string
  /** as it will run: after the conversion, if any */
  config: ModelConfig
  /** before the conversion */
  original: ModelConfig
  /** as the weights are stored before the conversion; where tensors differ, the one that holds most bytes */
  dtype: WeightDtype
}

/**
 * Reads a subject's config: of its preset, or of its folder, whose file headers are read too.
 * @throws AppError NOT_FOUND, PATH_FORBIDDEN, CHECKPOINT_INVALID, CONFIG_UNSUPPORTED, VALIDATION_FAILED
 */
export async function planSubject(spec: SubjectSpec, modelRoots: readonly string[]): Promise<SubjectPlan> {
  const { config: original, dtype } = await readSource(spec.source, modelRoots)
  const config = spec.convert === null ? original : withKvHeads(original, spec.convert.kvHeads)
  const suffix = spec.convert === null ? '' : `-kv${spec.convert.kvHeads}`
  return { name: spec.name ?? original.name + suffix, config, original, dtype }
}

async function readSource(
  source: SubjectSpec['source'],
  modelRoots: readonly string[],
): Promise<{ config: ModelConfig; dtype: WeightDtype }> {
  if ('synthetic' in source) {
    const { preset, overrides } = source.synthetic
    return { config: overridePreset(preset, overrides).config, dtype: 'F32' }
  }
  const checkpoint = await openCheckpoint(await confine(source.local.path, modelRoots))
  const config = readModelConfig(checkpoint.config, basename(checkpoint.directory))
  return { config, dtype: storedDtype(checkpoint, config) }
}
