import { createHash } from 'node:crypto'
import { openRegular } from './regular-file.ts'
import type { StoredTensor } from './safetensors.ts'

const sampleBytes = 4096

export interface FingerprintFile {
  path: string
  /** header of the file, its length prefix included */
  header: Uint8Array
  tensors: readonly StoredTensor[]
}

/**
 * sha256 over config.json, each file's header, and 4 KiB at the start, middle and end of every tensor, hexadecimal.
 * It tells apart checkpoints of other layouts, other seeds and other training; it does not read everything (gigabytes
 * take seconds), so a change between the samples of a tensor stays unseen. The folder's place and the files' names do
 * not enter.
 */
export async function fingerprint(config: Uint8Array, files: readonly FingerprintFile[]): Promise<string> {
  const hash = createHash('sha256').update(String(config.length)).update(config)
  const sample = Buffer.alloc(sampleBytes)
  for (const file of files) {
    hash.update(file.header)
    const { handle } = await openRegular(file.path)
    try {
      for (const tensor of file.tensors) {
        const last = tensor.offset + Math.max(0, tensor.length - sampleBytes)
        const middle = tensor.offset + Math.floor((last - tensor.offset) / 2)
        for (const position of new Set([tensor.offset, middle, last])) {
          const { bytesRead } = await handle.read(sample, 0, Math.min(sampleBytes, tensor.length), position)
          hash.update(sample.subarray(0, bytesRead))
        }
      }
    } finally {
      await handle.close()
    }
  }
  return hash.digest('hex')
}
