import { AppError } from '../errors.ts'
import type { Checkpoint } from './checkpoint.ts'
import { quote } from './quote.ts'
import { readTensorBytes } from './read-tensor.ts'

/** The bytes of an opened checkpoint's tensors, for those who compare and do not compute. */
export function bytesOfTensors({ tensors, directory }: Checkpoint) {
  return {
    find(name: string) {
      const entry = tensors.get(name)
      return entry ? { shape: entry.shape, byteLength: entry.length } : null
    },
    async read(name: string, start: number, length: number): Promise<Uint8Array> {
      const entry = tensors.get(name)
      if (entry) return readTensorBytes(entry, start, length)
      throw new AppError('CHECKPOINT_INVALID', `${directory} has no tensor ${quote(name)}`)
    },
  }
}
