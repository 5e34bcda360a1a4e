import { basename } from 'node:path'
import type { ModelConfig } from '../architecture/model-config.ts'
import { readModelConfig } from '../architecture/read-config.ts'
import type { Checkpoint } from '../checkpoints/checkpoint.ts'
import { openCheckpoint } from '../checkpoints/open.ts'
import { confine } from '../checkpoints/roots.ts'
import type { SubjectSpec } from '../jobs/spec.ts'
import { convertKvHeads } from '../models/convert.ts'
import { openSynthetic } from '../models/synthetic.ts'
import type { OpenedSubject } from './result.ts'
import { storedDtype } from './stored-dtype.ts'

export interface SubjectPlaces {
  /** where synthetic weights and conversions are kept */
  dataDir: string
  modelRoots: readonly string[]
}

export interface SubjectCheckpoint {
  checkpoint: Checkpoint
  config: ModelConfig
}

/**
 * Opens the checkpoint of a subject, made first where it is synthetic or converted and not there yet.
 * @param onProgress told the share of the bytes written, from 0 to 1; never called where nothing is to be written
 * @throws AppError PATH_FORBIDDEN, NOT_FOUND, CHECKPOINT_INVALID, CONFIG_UNSUPPORTED, VALIDATION_FAILED, OUT_OF_DISK
 */
export async function openSubject(
  { source, convert }: SubjectSpec,
  { dataDir, modelRoots }: SubjectPlaces,
  onProgress: (fraction: number) => void,
): Promise<SubjectCheckpoint> {
  const opened =
    'synthetic' in source
      ? await openSynthetic(source.synthetic, dataDir, onProgress)
      : await openLocal(source.local.path, modelRoots)
  if (convert === null) return opened
  return convertKvHeads(opened.checkpoint, opened.config, convert, dataDir, onProgress)
}

async function openLocal(path: string, modelRoots: readonly string[]): Promise<SubjectCheckpoint> {
  const checkpoint = await openCheckpoint(await confine(path, modelRoots))
  return { checkpoint, config: readModelConfig(checkpoint.config, basename(checkpoint.directory)) }
}

/** What is stored of an opened subject. */
export function describeOpened(index: number, { checkpoint, config }: SubjectCheckpoint): OpenedSubject {
  const dtype = storedDtype(checkpoint, config)
  return { index, dtype, computeDtype: 'F32', fingerprint: checkpoint.fingerprint }
}
