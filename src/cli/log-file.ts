import { type FileHandle, mkdir, open, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'

/** A log larger than `most` bytes is cut to its last `kept` when it is opened. */
export const logBytes = { most: 4_000_000, kept: 1_000_000 } as const

/**
 * Opens a log for appending, its folder included. What earlier starts wrote stays, but for the beginning of a log that
 * has grown too long: that is cut at a line.
 */
export async function openLogFile(file: string): Promise<FileHandle> {
  await mkdir(dirname(file), { recursive: true })
  const log = await open(file, 'a+')
  try {
    const { size } = await log.stat()
    if (size > logBytes.most) await writeFile(file, await lastLines(log, size))
    return log
  } catch (error) {
    await log.close()
    throw error
  }
}

async function lastLines(log: FileHandle, size: number): Promise<Buffer> {
  const { buffer, bytesRead } = await log.read(Buffer.alloc(logBytes.kept), 0, logBytes.kept, size - logBytes.kept)
  const last = buffer.subarray(0, bytesRead)
  return last.subarray(last.indexOf('\n') + 1)
}
