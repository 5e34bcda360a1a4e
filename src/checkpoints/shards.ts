import { realpath, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError } from '../errors.ts'
import { parseHeaderJson } from './header-json.ts'
import { snapshotOf } from './hub-cache.ts'
import { quote } from './quote.ts'
import { checkRegular, readSmallFile } from './regular-file.ts'
import { isInside } from './roots.ts'

export const indexName = 'model.safetensors.index.json'
const singleName = 'model.safetensors'
/** What torch.save writes, in place of safetensors. */
const pytorchIndexName = 'pytorch_model.bin.index.json'
const pytorchName = 'pytorch_model.bin'
const maxShards = 10_000

/** DeepSeek-V3's index of 92,000 tensors takes 9 MB; 200,000 names, the most that are read, take about 20. */
export const maxIndexBytes = 32_000_000

/**
 * The real path of a file that must lie in a checkpoint's folder, links resolved; null where there is none. The folder is
 * one with its own links resolved.
 * What is no regular file is refused before anybody opens it: opening a pipe waits for its writer.
 * @throws AppError PATH_FORBIDDEN where its name or a link leads out of the folder; CHECKPOINT_INVALID where it is a
 * folder, a pipe or a device
 */
export async function fileInside(directory: string, name: string): Promise<string | null> {
  const forbid = (message: string): never => {
    throw new AppError('PATH_FORBIDDEN', message, 'A checkpoint is one folder: put the file itself into it.')
  }
  const safe = name !== '' && name !== '..' && !/[\\/\0]/.test(name) && !/^[a-z]:/i.test(name)
  if (!safe) return forbid(`${directory} names ${quote(name)}, which is no plain file name`)
  let path: string
  try {
    path = await realpath(join(directory, name))
  } catch {
    return null
  }
  // A snapshot of the hub's cache consists of links to the blobs of its own repository.
  const blobs = snapshotOf(directory)?.blobs
  const inside = isInside(path, directory) || (blobs !== undefined && isInside(path, blobs))
  if (!inside) return forbid(`${join(directory, name)} is a link that leads out of its folder`)
  checkRegular(path, await stat(path))
  return path
}

export interface WeightFile {
  /** real path, links resolved */
  path: string
  format: 'safetensors' | 'pytorch'
  /** tensors that the index of the shards puts into it, as the file spells them; empty where there is no index */
  promised: string[]
}

/** The names of weight files, in the order in which they are looked for: safetensors first. */
export const weightLayouts = [
  { format: 'safetensors', index: indexName, single: singleName },
  { format: 'pytorch', index: pytorchIndexName, single: pytorchName },
] as const

/** Whether a folder has weights in safetensors or torch's own format, by the names of its files. */
export async function holdsWeights(directory: string): Promise<boolean> {
  for (const { index, single } of weightLayouts) {
    if ((await fileInside(directory, index)) !== null || (await fileInside(directory, single)) !== null) return true
  }
  return false
}

/**
 * The weight files of a checkpoint's folder, in the order of their names: model.safetensors or the shards that its index
 * names; where there are none, pytorch_model.bin or its shards.
 * @throws AppError CHECKPOINT_INVALID where there are neither or an index names one that is not there
 */
export async function findWeightFiles(directory: string): Promise<WeightFile[]> {
  for (const { format, index: indexFile, single: singleFile } of weightLayouts) {
    const index = await fileInside(directory, indexFile)
    if (index !== null) return findShards(directory, index, format)
    const single = await fileInside(directory, singleFile)
    if (single !== null) return [{ path: single, format, promised: [] }]
  }
  throw new AppError(
    'CHECKPOINT_INVALID',
    `${directory} has neither ${weightLayouts.flatMap(({ single, index }) => [single, index]).join(' nor ')}`,
    'Name the folder that holds the weights, or download them into it.',
  )
}

async function findShards(directory: string, index: string, format: WeightFile['format']): Promise<WeightFile[]> {
  const shards = parseIndex(await readSmallFile(index, maxIndexBytes), index)
  const files: WeightFile[] = []
  for (const name of [...shards.keys()].sort()) {
    const path = (await fileInside(directory, name)) ?? invalidIndex(index, `the shard ${name} is not in the folder`)
    files.push({ path, format, promised: shards.get(name) ?? [] })
  }
  return files
}

/**
 * What an index of shards says: the files it names, each with its tensors, as it spells them.
 * @param file the index, as errors name it
 * @throws AppError CHECKPOINT_INVALID
 */
export function parseIndex(bytes: Uint8Array, file: string): Map<string, string[]> {
  const { weight_map: map } = parseHeaderJson(bytes, file)
  if (typeof map !== 'object' || map === null || Array.isArray(map)) {
    return invalidIndex(file, 'weight_map is not an object')
  }
  const shards = new Map<string, string[]>()
  for (const [tensor, name] of Object.entries(map)) {
    if (typeof name !== 'string') return invalidIndex(file, `tensor ${quote(tensor)} lies in ${quote(name)}`)
    const promised = shards.get(name) ?? []
    promised.push(tensor)
    shards.set(name, promised)
  }
  if (shards.size > maxShards) {
    invalidIndex(file, `it names ${shards.size} files, and at most ${maxShards} are opened`)
  }
  return shards
}

function invalidIndex(file: string, message: string): never {
  throw new AppError('CHECKPOINT_INVALID', `${file}: ${message}`, 'Download the checkpoint again, every shard of it.')
}
