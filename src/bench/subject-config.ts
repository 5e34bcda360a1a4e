import type { ModelConfig } from '../architecture/model-config.ts'
import { withKvHeads } from '../architecture/pool-kv-heads.ts'
import { overridePreset } from '../architecture/preset-config.ts'
import { readModelConfig } from '../architecture/read-config.ts'
import type { WeightDtype } from '../checkpoints/checkpoint.ts'
import { nameOfFolder } from '../checkpoints/hub-cache.ts'
import { type OnnxExport, openExport } from '../checkpoints/onnx-export.ts'
import { openCheckpoint } from '../checkpoints/open.ts'
import type { SubjectSpec } from '../jobs/spec.ts'
import { subjectName } from '../jobs/spec-names.ts'
import { folderOfSource } from './source-folder.ts'
import { storedDtype } from './stored-dtype.ts'

/** What can be known of a subject without reading or making a weight. */
export interface SubjectPlan {
  name: string
  /** as it will run: after the conversion, if any */
  config: ModelConfig
  /** before the conversion */
  original: ModelConfig
  /** of the weights as they will be loaded; where tensors differ, of those that hold most bytes. Null: a quantised export */
  dtype: WeightDtype | null
  /** of the weights as the source has them */
  stored: WeightDtype | null
  /** what transformers.js will load; null: kvscope's own engine runs the weights */
  exported: OnnxExport | null
}

/**
 * Reads a subject's config: of its preset, or of its folder, whose file headers are read too.
 * @throws AppError NOT_FOUND, PATH_FORBIDDEN, CHECKPOINT_INVALID, CONFIG_UNSUPPORTED, VALIDATION_FAILED
 */
export async function planSubject(spec: SubjectSpec, modelRoots: readonly string[]): Promise<SubjectPlan> {
  const { config: original, stored, exported } = await readSource(spec, modelRoots)
  const config = spec.convert === null ? original : withKvHeads(original, spec.convert.kvHeads)
  const dtype = exported === null ? (spec.dtype ?? stored) : stored
  return { name: spec.name ?? subjectName(original.name, spec), config, original, dtype, stored, exported }
}

async function readSource(
  { source, runtime, dtype }: SubjectSpec,
  modelRoots: readonly string[],
): Promise<{ config: ModelConfig } & Pick<SubjectPlan, 'stored' | 'exported'>> {
  if ('synthetic' in source) {
    const { preset, overrides } = source.synthetic
    return { config: overridePreset(preset, overrides).config, stored: 'F32', exported: null }
  }
  const folder = await folderOfSource(source, modelRoots)
  if (runtime === 'TRANSFORMERS_JS') {
    const { export: exported, directory, config } = await openExport(folder, dtype)
    return { config: readModelConfig(config, nameOfFolder(directory)), stored: exported.weights, exported }
  }
  const checkpoint = await openCheckpoint(folder)
  const config = readModelConfig(checkpoint.config, nameOfFolder(checkpoint.directory))
  return { config, stored: storedDtype(checkpoint, config), exported: null }
}
