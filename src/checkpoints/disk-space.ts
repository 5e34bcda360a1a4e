import { statfs } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { AppError } from '../errors.ts'

const gibibyte = 2 ** 30

/** Bytes that this user may still write in `directory`, or in the nearest folder above it that exists. */
async function freeBytes(directory: string): Promise<number> {
  try {
    const { bavail, bsize } = await statfs(directory)
    return bavail * bsize
  } catch (error) {
    const above = dirname(directory)
    if (above === directory) throw error
    return freeBytes(above)
  }
}

/**
 * Makes sure that `bytes` more can be written to `directory`, which need not exist yet.
 * @param variable by which another folder is chosen
 * @throws AppError OUT_OF_DISK saying what is needed and what is free
 */
export async function ensureDiskSpace(
  directory: string,
  bytes: number,
  variable: 'KVSCOPE_DATA_DIR' | 'HF_HUB_CACHE' = 'KVSCOPE_DATA_DIR',
): Promise<void> {
  const free = await freeBytes(resolve(directory))
  if (free >= bytes) return
  const inGibibytes = (count: number) => `${(count / gibibyte).toFixed(2)} GiB`
  throw new AppError(
    'OUT_OF_DISK',
    `${directory} needs ${inGibibytes(bytes)} (${bytes} bytes) and has ${inGibibytes(free)} free`,
    `Free some space, or set ${variable} to a folder on a larger disk.`,
  )
}
