import { realpath } from 'node:fs/promises'
import { AppError } from '../errors.ts'
import type { Checkpoint } from './checkpoint.ts'
import { type FingerprintFile, fingerprint } from './fingerprint.ts'
import { readPytorchFile } from './pytorch-file.ts'
import { readSmallFile } from './regular-file.ts'
import { readHeader } from './safetensors.ts'
import { fileInside, findWeightFiles } from './shards.ts'
import { createTensorTable } from './tensor-table.ts'

/** The configs of the hub's models take a few kilobytes; this one is parsed without the bounds that headers have. */
export const maxConfigBytes = 1_000_000

/** Key of a safetensors header's metadata that marks weights drawn from a seed; its value is `true`. */
export const syntheticKey = 'kvscope.synthetic'

/**
 * Opens a folder in Hugging Face layout: config.json, and model.safetensors or the shards of
 * model.safetensors.index.json; where there are none, pytorch_model.bin or its shards. Headers are checked, no weight is
 * read. Names lose a leading `transformer.` or
 * `language_model.`.
 * @throws AppError CHECKPOINT_INVALID naming tensor, value and file; PATH_FORBIDDEN for a file outside the folder
 */
export async function openCheckpoint(directory: string): Promise<Checkpoint> {
  const folder = await realFolder(directory)
  const { config, bytes } = await readConfigJson(folder)
  const table = createTensorTable(folder)
  const files: FingerprintFile[] = []
  let synthetic = false
  for (const { path, format, promised } of await findWeightFiles(folder)) {
    const header = format === 'pytorch' ? await readPytorchFile(path) : await readHeader(path)
    synthetic ||= header.metadata[syntheticKey] === 'true'
    files.push({ path, header: header.bytes, tensors: header.tensors })
    table.add(header, path, promised)
  }
  const { tensors, unread } = table
  return { directory: folder, config, tensors, unread, fingerprint: await fingerprint(bytes, files), synthetic }
}

/**
 * Opens a folder without weights that are read: its config.json alone, and no tensor.
 * @throws AppError CHECKPOINT_INVALID, PATH_FORBIDDEN
 */
export async function openConfig(directory: string): Promise<Checkpoint> {
  const folder = await realFolder(directory)
  const { config, bytes } = await readConfigJson(folder)
  return { directory: folder, config, tensors: new Map(), fingerprint: await fingerprint(bytes, []), synthetic: false }
}

function realFolder(directory: string): Promise<string> {
  return realpath(directory).catch((cause: unknown) => {
    throw new AppError(
      'CHECKPOINT_INVALID',
      `${directory} does not exist`,
      'Name the folder that holds config.json.',
      cause,
    )
  })
}

async function readConfigJson(folder: string): Promise<{ config: Record<string, unknown>; bytes: Uint8Array }> {
  const path = await fileInside(folder, 'config.json')
  if (path === null) {
    throw new AppError('CHECKPOINT_INVALID', `${folder} has no config.json`, 'Name the folder that holds config.json.')
  }
  const bytes = await readSmallFile(path, maxConfigBytes)
  return { config: parseConfigJson(bytes, path), bytes }
}

/**
 * @param path of the file, as errors name it
 * @throws AppError CHECKPOINT_INVALID where it is no JSON object
 */
export function parseConfigJson(bytes: Buffer, path: string): Record<string, unknown> {
  let config: unknown
  try {
    config = JSON.parse(bytes.toString('utf8'))
  } catch (cause) {
    throw new AppError('CHECKPOINT_INVALID', `${path} is not JSON`, 'Download config.json again.', cause)
  }
  if (typeof config !== 'object' || config === null || Array.isArray(config)) {
    throw new AppError('CHECKPOINT_INVALID', `${path} is JSON but not an object`, 'Download config.json again.')
  }
  return { ...config }
}
