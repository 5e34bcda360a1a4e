import { realpath, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Checkpoint, TensorEntry } from '../checkpoints/checkpoint.ts'
import { nameOfFolder } from '../checkpoints/hub-cache.ts'
import { syntheticKey } from '../checkpoints/open.ts'
import { readHeader } from '../checkpoints/safetensors.ts'
import { removeAbandoned } from '../checkpoints/write-beside.ts'
import { type TensorToWrite, writeSafetensors } from '../checkpoints/write-safetensors.ts'
import { AppError } from '../errors.ts'
import { weightsFolder } from './synthetic.ts'

/** The data folder's file of what is made of a checkpoint's weights, whether it has been written yet or not. */
export function derivedFile({ directory, fingerprint }: Checkpoint, what: string, dataDir: string): string {
  // The source's folder by name, and its fingerprint, as folders of one name may differ.
  const name = nameOfFolder(directory).replace(/[^\w.-]+/g, '_')
  return join(weightsFolder(dataDir), `${name.slice(0, 100)}-${fingerprint.slice(0, 12)}-${what}.safetensors`)
}

/** What a derived file says of itself: where it comes from and how it was made. */
export function derivedMetadata(checkpoint: Checkpoint, conversion: string): Record<string, string> {
  return {
    'kvscope.source': checkpoint.fingerprint,
    'kvscope.conversion': conversion,
    ...(checkpoint.synthetic ? { [syntheticKey]: 'true' } : {}),
  }
}

/**
 * The tensors of a derived file, which is written first where it is not there yet, beside and renamed.
 * @param onProgress told the share of the bytes written, 0 to 1; never called where nothing is written
 * @throws AppError OUT_OF_DISK, CONFIG_UNSUPPORTED where a value does not fit its dtype, and those of reading the source
 */
export async function openDerived(
  file: string,
  metadata: Readonly<Record<string, string>>,
  tensors: readonly TensorToWrite[],
  onProgress?: (fraction: number) => void,
): Promise<Map<string, TensorEntry>> {
  const known = await readDerived(file, metadata, tensors)
  if (known !== null) {
    await removeAbandoned(file)
    return known
  }
  await writeSafetensors(file, tensors, metadata, (written, total) => onProgress?.(written / total))
  const entries = await readDerived(file, metadata, tensors)
  if (entries === null) throw new AppError('INTERNAL', `${file} is not what was written to it`)
  return entries
}

/** The entries of a file written before; null where there is none, or where it is not of this source and conversion. */
async function readDerived(
  path: string,
  metadata: Readonly<Record<string, string>>,
  tensors: readonly TensorToWrite[],
): Promise<Map<string, TensorEntry> | null> {
  const isThere = await stat(path).then(
    () => true,
    () => false,
  )
  if (!isThere) return null
  const file = await realpath(path)
  const header = await readHeader(file).catch((error: unknown) => {
    // Our own file and yet damaged, by a full disk or a power cut: it can be made again.
    if (error instanceof AppError && error.code === 'CHECKPOINT_INVALID') return null
    throw error
  })
  if (header === null || Object.entries(metadata).some(([key, value]) => header.metadata[key] !== value)) return null
  const stored = new Map(header.tensors.map((tensor) => [tensor.name, tensor]))
  const entries = new Map<string, TensorEntry>()
  for (const { name, shape, dtype = 'F32' } of tensors) {
    const tensor = stored.get(name)
    if (tensor?.dtype !== dtype || tensor.shape.join() !== shape.join()) return null
    const { offset, length } = tensor
    entries.set(name, { name, dtype, shape: tensor.shape, file, offset, length })
  }
  return entries
}
