import { open } from 'node:fs/promises'
import { AppError } from '../errors.ts'
import type { TensorEntry, WeightDtype } from './checkpoint.ts'
import { quote } from './quote.ts'

const chunkBytes = 64 * 1024 * 1024
const bytesOf = { F32: 4, F16: 2, BF16: 2 } as const satisfies Record<WeightDtype, number>

/** IEEE 754 half precision: sign, 5 bits of exponent (bias 15), 10 bits of fraction. */
function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >> 10) & 0x1f
  const fraction = bits & 0x3ff
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

let halves: Float32Array | null = null

function widenHalves(from: Uint16Array, to: Float32Array): void {
  halves ??= Float32Array.from({ length: 0x1_0000 }, (_, bits) => halfToNumber(bits))
  for (let at = 0; at < from.length; at++) to[at] = halves[from[at] ?? 0] ?? 0
}

/** bfloat16 is the upper half of an f32. */
function widenBrains(from: Uint16Array, to: Float32Array): void {
  const bits = new Uint32Array(to.buffer, to.byteOffset, to.length)
  for (let at = 0; at < from.length; at++) bits[at] = (from[at] ?? 0) << 16
}

async function readBytes(entry: TensorEntry, position: number, into: Uint8Array): Promise<void> {
  const handle = await open(entry.file, 'r')
  try {
    for (let done = 0; done < into.length; ) {
      const { bytesRead } = await handle.read(into, done, Math.min(chunkBytes, into.length - done), position + done)
      if (bytesRead === 0) {
        const message = `${entry.file} ended at byte ${position + done}, inside tensor ${quote(entry.name)}`
        throw new AppError('CHECKPOINT_INVALID', message, 'The file has changed since it was opened: open it again.')
      }
      done += bytesRead
    }
  } finally {
    await handle.close()
  }
}

/** Bytes `start` to `start + length` of a tensor's data, as they are stored. @throws AppError as readValues */
export async function readTensorBytes(entry: TensorEntry, start: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length)
  await readBytes(entry, entry.offset + start, bytes)
  return bytes
}

/**
 * Values `start` to `start + count` of a tensor, row-major, as f32; f16 and bf16 are widened, which loses nothing.
 * Rows of a [rows, columns] tensor are `start = row * columns`.
 * @throws AppError CHECKPOINT_INVALID where the file has become shorter
 */
export async function readValues(entry: TensorEntry, start: number, count: number): Promise<Float32Array> {
  const width = bytesOf[entry.dtype]
  const values = new Float32Array(count)
  const position = entry.offset + start * width
  if (entry.dtype === 'F32') {
    await readBytes(entry, position, new Uint8Array(values.buffer))
    return values
  }
  const narrow = new Uint16Array(count)
  await readBytes(entry, position, new Uint8Array(narrow.buffer))
  if (entry.dtype === 'F16') widenHalves(narrow, values)
  else widenBrains(narrow, values)
  return values
}

/** All values of a tensor, row-major, as f32. */
export function readTensor(entry: TensorEntry): Promise<Float32Array> {
  return readValues(entry, 0, entry.length / bytesOf[entry.dtype])
}
