import type { FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { ensureDiskSpace } from './disk-space.ts'
import { safetensorsHeader } from './safetensors-header.ts'
import { writeBeside } from './write-beside.ts'

const chunkValues = 4 * 1024 * 1024 // 16 MiB of f32
const alignment = 64

/** A tensor to be written; its values are asked for in pieces, so that no tensor stands whole in memory. */
export interface TensorToWrite {
  name: string
  shape: readonly number[]
  /**
   * Fills `out` with the values `start` to `start + out.length`, row-major. Within a tensor the pieces come in order,
   * each once. `out` is one buffer used again and again: keep no reference to it.
   */
  fill: (out: Float32Array, start: number) => void | Promise<void>
}

const countOf = (tensor: TensorToWrite) => tensor.shape.reduce((product, size) => product * size, 1)

/**
 * The order of data in the file. Data lie end to end, so one tensor of odd length would shift all after it: tensors
 * whose length is a multiple of 64 bytes come first.
 */
function inFileOrder(tensors: readonly TensorToWrite[]): TensorToWrite[] {
  const isOdd = (tensor: TensorToWrite) => Number((countOf(tensor) * 4) % alignment !== 0)
  return [...tensors].sort((a, b) => isOdd(a) - isOdd(b))
}

async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    done += (await handle.write(bytes, done, bytes.length - done)).bytesWritten
  }
}

/**
 * Writes a safetensors file of f32 tensors in chunks of 16 MiB, beside and renamed. Every tensor whose length is a
 * multiple of 64 bytes begins at a multiple of 64. `onBytes` hears how many of `total` bytes are written.
 * @throws AppError OUT_OF_DISK before anything is written
 */
export async function writeSafetensors(
  file: string,
  tensors: readonly TensorToWrite[],
  metadata: Record<string, string> = {},
  onBytes?: (written: number, total: number) => void,
): Promise<void> {
  const ordered = inFileOrder(tensors)
  const plans = ordered.map(({ name, shape }) => ({ name, dtype: 'F32', shape }))
  const header = safetensorsHeader(plans, { format: 'pt', ...metadata })
  const largest = ordered.reduce((most, tensor) => Math.max(most, countOf(tensor)), 0)
  const total = ordered.reduce((sum, tensor) => sum + countOf(tensor) * 4, header.length)
  await ensureDiskSpace(dirname(file), total)

  const buffer = new Float32Array(Math.min(chunkValues, largest))
  await writeBeside(file, async (handle) => {
    await writeAll(handle, header)
    let written = header.length
    for (const tensor of ordered) {
      const count = countOf(tensor)
      for (let start = 0; start < count; start += buffer.length) {
        const piece = buffer.subarray(0, Math.min(buffer.length, count - start))
        await tensor.fill(piece, start)
        await writeAll(handle, new Uint8Array(piece.buffer, 0, piece.byteLength))
        written += piece.byteLength
        onBytes?.(written, total)
      }
    }
  })
}
