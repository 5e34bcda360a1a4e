import type { FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { AppError } from '../errors.ts'
import type { WeightDtype } from './checkpoint.ts'
import { ensureDiskSpace } from './disk-space.ts'
import { quote } from './quote.ts'
import { type NarrowDtype, roundWeights } from './round-weights.ts'
import { safetensorsHeader, tensorBytes } from './safetensors-header.ts'
import { writeBeside } from './write-beside.ts'

const chunkValues = 4 * 1024 * 1024 // 16 MiB of f32
const alignment = 64

/** A tensor to be written; its values are asked for in pieces, so that no tensor stands whole in memory. */
export interface TensorToWrite {
  name: string
  shape: readonly number[]
  /** what the values are rounded to in the file; left out: F32 */
  dtype?: WeightDtype
  /**
   * Fills `out` with the values `start` to `start + out.length`, row-major. Within a tensor the pieces come in order,
   * each once. `out` is one buffer used again and again: keep no reference to it.
   */
  fill: (out: Float32Array, start: number) => void | Promise<void>
}

const countOf = (tensor: TensorToWrite) => tensor.shape.reduce((product, size) => product * size, 1)

const bytesOf = ({ dtype = 'F32', shape }: TensorToWrite) => tensorBytes({ dtype, shape })

/**
 * The order of data in the file. Data lie end to end, so one tensor of odd length would shift all after it: tensors
 * whose length is a multiple of 64 bytes come first.
 */
function inFileOrder(tensors: readonly TensorToWrite[]): TensorToWrite[] {
  const isOdd = (tensor: TensorToWrite) => Number(bytesOf(tensor) % alignment !== 0)
  return [...tensors].sort((a, b) => isOdd(a) - isOdd(b))
}

async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    done += (await handle.write(bytes, done, bytes.length - done)).bytesWritten
  }
}

/**
 * Writes a safetensors file in chunks of 4 Mi values, beside and renamed. Every tensor whose length is a
 * multiple of 64 bytes begins at a multiple of 64. `onBytes` hears how many of `total` bytes are written.
 * @throws AppError OUT_OF_DISK before anything is written; CONFIG_UNSUPPORTED naming the tensor where a value is too large
 * for its dtype
 */
export async function writeSafetensors(
  file: string,
  tensors: readonly TensorToWrite[],
  metadata: Record<string, string> = {},
  onBytes?: (written: number, total: number) => void,
): Promise<void> {
  const ordered = inFileOrder(tensors)
  const plans = ordered.map(({ name, shape, dtype = 'F32' }) => ({ name, dtype, shape }))
  const header = safetensorsHeader(plans, { format: 'pt', ...metadata })
  const mostValues = ordered.reduce((most, tensor) => Math.max(most, countOf(tensor)), 0)
  const total = ordered.reduce((sum, tensor) => sum + bytesOf(tensor), header.length)
  await ensureDiskSpace(dirname(file), total)

  const buffer = new Float32Array(Math.min(chunkValues, mostValues))
  const words = new Uint16Array(ordered.some(({ dtype = 'F32' }) => dtype !== 'F32') ? buffer.length : 0)
  await writeBeside(file, async (handle) => {
    await writeAll(handle, header)
    let written = header.length
    for (const tensor of ordered) {
      const count = countOf(tensor)
      for (let start = 0; start < count; start += buffer.length) {
        const piece = buffer.subarray(0, Math.min(buffer.length, count - start))
        await tensor.fill(piece, start)
        const bytes = encode(tensor, piece, start, words)
        await writeAll(handle, bytes)
        written += bytes.length
        onBytes?.(written, total)
      }
    }
  })
}

/** A piece's bytes as its tensor's dtype has them; those of 16 bits lie in `words`. */
function encode(
  { name, dtype = 'F32' }: TensorToWrite,
  piece: Float32Array,
  start: number,
  words: Uint16Array,
): Uint8Array {
  if (dtype === 'F32') return new Uint8Array(piece.buffer, piece.byteOffset, piece.byteLength)
  const into = words.subarray(0, piece.length)
  const tooLarge = roundWeights(piece, dtype, into)
  if (tooLarge < 0) return new Uint8Array(into.buffer, 0, into.byteLength)
  throw new AppError(
    'CONFIG_UNSUPPORTED',
    `tensor ${quote(name)} holds ${piece[tooLarge]} at ${start + tooLarge}, beyond ${largest[dtype]}, the largest number of ${dtype}`,
    dtype === 'F16' ? 'Take BF16, which reaches as far as F32, or leave dtype out.' : 'Leave dtype out.',
  )
}

const largest = { F16: '65504', BF16: '3.39e38' } as const satisfies Record<NarrowDtype, string>
