import { AppError } from '../errors.ts'
import { bitsOf } from './dtypes.ts'

/** Data begin at a multiple of this: more than the format's 8, so that a mapped tensor suits vector instructions. */
const alignment = 64

/** A tensor of a safetensors file that is yet to be written. */
export interface TensorPlan {
  name: string
  /** as safetensors spells it */
  dtype: string
  shape: readonly number[]
}

/** Bytes of a tensor's data. */
export function tensorBytes({ dtype, shape }: Pick<TensorPlan, 'dtype' | 'shape'>): number {
  const bits = bitsOf.get(dtype)
  if (bits === undefined) throw new AppError('INTERNAL', `safetensors has no dtype ${dtype}`)
  return (shape.reduce((product, size) => product * size, 1) * bits) / 8
}

/**
 * The beginning of a safetensors file: the header's length, and as JSON the place of every tensor's data, which follow
 * end to end in the given order; padded with blanks, so that they begin at a multiple of 64 bytes.
 * @param metadata what the file says of itself: text only
 * @throws AppError INTERNAL where two tensors have one name
 */
export function safetensorsHeader(
  tensors: readonly TensorPlan[],
  metadata: Readonly<Record<string, string>>,
): Buffer<ArrayBuffer> {
  const entries = new Map<string, unknown>([['__metadata__', metadata]])
  let end = 0
  for (const { name, dtype, shape } of tensors) {
    if (entries.has(name)) throw new AppError('INTERNAL', `tensor ${JSON.stringify(name)} is to be written twice`)
    const start = end
    end += tensorBytes({ dtype, shape })
    entries.set(name, { dtype, shape, data_offsets: [start, end] })
  }
  const json = Buffer.from(JSON.stringify(Object.fromEntries(entries)))
  const length = Math.ceil((8 + json.length) / alignment) * alignment
  const header = Buffer.alloc(length, ' ')
  header.writeBigUInt64LE(BigInt(length - 8))
  json.copy(header, 8)
  return header
}
