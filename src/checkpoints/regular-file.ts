import { constants, type Stats } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { AppError } from '../errors.ts'

/** @throws AppError CHECKPOINT_INVALID where a path is a folder, a pipe, a socket or a device */
export function checkRegular(path: string, status: Stats): void {
  if (status.isFile()) return
  throw new AppError('CHECKPOINT_INVALID', `${path}: is not a regular file`, 'Put the file itself into the folder.')
}

/**
 * Opens a file for reading and makes sure that it is a regular one. Without waiting: opening a pipe would hold a thread
 * until a writer comes, also one that took a file's place after it was looked at. Windows has no such flag and no such
 * pipes in folders.
 * @throws AppError CHECKPOINT_INVALID
 */
export async function openRegular(path: string): Promise<{ handle: FileHandle; size: number }> {
  const handle = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
  try {
    const status = await handle.stat()
    checkRegular(path, status)
    return { handle, size: status.size }
  } catch (cause) {
    await handle.close()
    throw cause
  }
}

/** Reads a small file whole. @throws AppError CHECKPOINT_INVALID where it is longer than `maxBytes` */
export async function readSmallFile(path: string, maxBytes: number): Promise<Buffer> {
  const { handle, size } = await openRegular(path)
  try {
    if (size > maxBytes) {
      throw new AppError(
        'CHECKPOINT_INVALID',
        `${path} is ${size} bytes long, and at most ${maxBytes} are read`,
        'Check that it is the file that its name says.',
      )
    }
    const bytes = Buffer.alloc(size)
    const { bytesRead } = await handle.read(bytes, 0, size, 0)
    return bytes.subarray(0, bytesRead)
  } finally {
    await handle.close()
  }
}
