import { stat, writeFile } from 'node:fs/promises'
import { writeBeside } from '../checkpoints/write-beside.ts'
import { AppError } from '../errors.ts'

/**
 * Writes the file of `--out`: whole, or not at all. A pipe or a device is written to as it is.
 * @returns how many bytes were written
 * @throws AppError VALIDATION_FAILED naming the file; whatever the pieces throw
 */
export async function writeOutFile(
  file: string,
  pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<number> {
  const found = await stat(file).catch(() => null)
  let bytes = 0
  const count = async function* () {
    for await (const piece of pieces) {
      bytes += piece.byteLength
      yield piece
    }
  }
  try {
    if (found !== null && !found.isFile()) await writeFile(file, count())
    else {
      await writeBeside(file, async (handle) => {
        for await (const piece of count()) await handle.appendFile(piece)
      })
    }
  } catch (error) {
    if (isFileError(error)) {
      const hint = 'Name a file that you may write, on a disk with room for it.'
      throw new AppError(
        'VALIDATION_FAILED',
        `The file of --out, ${file}, cannot be written: ${error.message}`,
        hint,
        error,
      )
    }
    throw error
  }
  return bytes
}

/** An error of the operating system about a file, not of a connection. */
function isFileError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && !(error instanceof AppError) && 'code' in error && 'syscall' in error
}
