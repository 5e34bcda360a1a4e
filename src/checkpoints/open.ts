import { realpath } from 'node:fs/promises'
import { basename } from 'node:path'
import { AppError } from '../errors.ts'
import type { Checkpoint, TensorEntry, UnreadTensor } from './checkpoint.ts'
import { isWeightDtype } from './dtypes.ts'
import { type FingerprintFile, fingerprint } from './fingerprint.ts'
import { quote } from './quote.ts'
import { readSmallFile } from './regular-file.ts'
import { readHeader } from './safetensors.ts'
import { fileInside, findWeightFiles, indexName } from './shards.ts'

const maxTensors = 1_000_000

/** The configs of the hub's models take a few kilobytes; this one is parsed without the bounds that headers have. */
export const maxConfigBytes = 1_000_000

/** Key of a safetensors header's metadata that marks weights drawn from a seed; its value is `true`. */
export const syntheticKey = 'kvscope.synthetic'

/**
 * Names that hub files spell in several ways and kvscope in one: GPT-2's kind with and without `transformer.`; the text
 * part of a model that also sees pictures, which carries `language_model.` before or after transformers 4.52's place.
 */
const spellings: readonly [prefix: string, plain: string][] = [
  ['transformer.', ''],
  ['language_model.', ''],
  ['model.language_model.', 'model.'],
]

function plainName(stored: string): string {
  const [prefix, plain] = spellings.find(([start]) => stored.startsWith(start)) ?? ['', '']
  return plain + stored.slice(prefix.length)
}

/**
 * Opens a folder in Hugging Face layout: config.json, and model.safetensors or the shards of
 * model.safetensors.index.json. Headers are checked, no weight is read. Names lose a leading `transformer.` or
 * `language_model.`.
 * @throws AppError CHECKPOINT_INVALID naming tensor, value and file; PATH_FORBIDDEN for a file outside the folder
 */
export async function openCheckpoint(directory: string): Promise<Checkpoint> {
  const folder = await realFolder(directory)
  const { config, bytes } = await readConfigJson(folder)
  const tensors = new Map<string, TensorEntry>()
  const unread = new Map<string, UnreadTensor>()
  const files: FingerprintFile[] = []
  let synthetic = false
  for (const { path, promised } of await findWeightFiles(folder)) {
    const header = await readHeader(path)
    synthetic ||= header.metadata[syntheticKey] === 'true'
    files.push({ path, header: header.bytes, tensors: header.tensors })
    for (const { name: storedName, dtype, shape, offset, length } of header.tensors) {
      const name = plainName(storedName)
      const other = tensors.get(name) ?? unread.get(name)
      if (other) {
        throw new AppError(
          'CHECKPOINT_INVALID',
          `tensor ${quote(name)} stands in ${other.file} and again in ${path}`,
          'Remove the file that is left over from an earlier download.',
        )
      }
      if (isWeightDtype(dtype)) tensors.set(name, { name, dtype, shape, file: path, offset, length })
      else unread.set(name, { name, dtype, shape, file: path })
    }
    if (tensors.size + unread.size > maxTensors) {
      throw new AppError('CHECKPOINT_INVALID', `${folder} holds more than ${maxTensors} tensors`)
    }
    checkIndex(promised, path, new Set(header.tensors.map((tensor) => tensor.name)))
  }
  return { directory: folder, config, tensors, unread, fingerprint: await fingerprint(bytes, files), synthetic }
}

/**
 * Opens a folder whose weights are no safetensors: its config.json alone, and no tensor.
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
  let config: unknown
  try {
    config = JSON.parse(bytes.toString('utf8'))
  } catch (cause) {
    throw new AppError('CHECKPOINT_INVALID', `${path} is not JSON`, 'Download config.json again.', cause)
  }
  if (typeof config !== 'object' || config === null || Array.isArray(config)) {
    throw new AppError('CHECKPOINT_INVALID', `${path} is JSON but not an object`, 'Download config.json again.')
  }
  return { config: { ...config }, bytes }
}

/** Every tensor that the index puts into a shard must stand in its header. */
function checkIndex(promised: readonly string[], path: string, names: ReadonlySet<string>): void {
  const absent = promised.find((tensor) => !names.has(tensor))
  if (absent === undefined) return
  throw new AppError(
    'CHECKPOINT_INVALID',
    `${indexName} puts tensor ${quote(absent)} into ${basename(path)}, which does not hold it`,
    'Download the checkpoint again, every shard of it.',
  )
}
