import type { ModelConfig } from '../architecture/model-config.ts'
import { readModelConfig } from '../architecture/read-config.ts'
import type { Checkpoint } from '../checkpoints/checkpoint.ts'
import { nameOfFolder } from '../checkpoints/hub-cache.ts'
import { type ExportedCheckpoint, openExport } from '../checkpoints/onnx-export.ts'
import { openCheckpoint } from '../checkpoints/open.ts'
import type { SubjectSpec } from '../jobs/spec.ts'
import { convertKvHeads } from '../models/convert.ts'
import { convertDtype } from '../models/convert-dtype.ts'
import { type OpenedModel, openSynthetic } from '../models/synthetic.ts'
import type { OpenedSubject } from './result.ts'
import { folderOfSource } from './source-folder.ts'
import { storedDtype } from './stored-dtype.ts'

export interface SubjectPlaces {
  /** where synthetic weights and conversions are kept */
  dataDir: string
  modelRoots: readonly string[]
}

export interface SubjectCheckpoint {
  checkpoint: Checkpoint
  config: ModelConfig
  /** the same checkpoint with the ONNX export that transformers.js runs; null: kvscope's own engine runs the weights */
  exported: ExportedCheckpoint | null
}

/**
 * Opens the checkpoint of a subject, made first where it is synthetic, converted or of another dtype and not there yet.
 * @param onProgress told the share of the bytes written, from 0 to 1; never called where nothing is to be written
 * @throws AppError PATH_FORBIDDEN, NOT_FOUND, CHECKPOINT_INVALID, CONFIG_UNSUPPORTED, VALIDATION_FAILED, OUT_OF_DISK
 */
export async function openSubject(
  { source, convert, dtype, runtime }: SubjectSpec,
  { dataDir, modelRoots }: SubjectPlaces,
  onProgress: (fraction: number) => void,
): Promise<SubjectCheckpoint> {
  const write = { dataDir, onProgress }
  if ('synthetic' in source) {
    const opened = await openSynthetic(source.synthetic, dataDir, onProgress)
    return { ...(await derive(opened, { convert, dtype }, write)), exported: null }
  }
  const folder = await folderOfSource(source, modelRoots)
  if (runtime === 'TRANSFORMERS_JS') {
    const exported = await openExport(folder, dtype)
    return { checkpoint: exported, config: configOf(exported), exported }
  }
  const checkpoint = await openCheckpoint(folder)
  const opened = { checkpoint, config: configOf(checkpoint) }
  return { ...(await derive(opened, { convert, dtype }, write)), exported: null }
}

function configOf({ config, directory }: Checkpoint): ModelConfig {
  return readModelConfig(config, nameOfFolder(directory))
}

/** K/V heads are pooled first, from the stored values, and rounded with the rest. */
async function derive(
  opened: OpenedModel,
  { convert, dtype }: Pick<SubjectSpec, 'convert' | 'dtype'>,
  { dataDir, onProgress }: { dataDir: string; onProgress: (fraction: number) => void },
): Promise<OpenedModel> {
  let { checkpoint, config } = opened
  if (convert !== null) {
    ;({ checkpoint, config } = await convertKvHeads(checkpoint, config, convert, dataDir, onProgress))
  }
  return dtype === null ? { checkpoint, config } : convertDtype(checkpoint, config, dtype, dataDir, onProgress)
}

/** What is stored of an opened subject. The runtime widens 16-bit weights of our graphs; an export computes as it was made. */
export function describeOpened(
  index: number,
  { checkpoint, config, exported = null }: OpenedModel & { exported?: ExportedCheckpoint | null },
): OpenedSubject {
  const { fingerprint } = checkpoint
  if (exported === null) return { index, dtype: storedDtype(checkpoint, config), computeDtype: 'F32', fingerprint }
  return { index, dtype: exported.export.weights, computeDtype: exported.export.cached, fingerprint }
}
