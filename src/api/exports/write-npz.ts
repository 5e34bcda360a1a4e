import { makeZip, predictLength } from 'client-zip'
import { AppError } from '../../errors.ts'
import { type ExportedArray, npyFile, npyFileLength } from './exported-array.ts'

/** More members take another form of the archive's end than client-zip writes. */
const mostMembers = 0xffff

export interface Npz {
  /** bytes of the whole archive */
  length: number
  body(): AsyncIterable<Uint8Array>
}

/**
 * A .npz file: a zip archive of one .npy file an array, stored as they are since numbers hardly compress, and of
 * metadata.json. It is written as it is read: nothing stands whole in memory, and beyond 4 GB it becomes zip64.
 * @throws AppError LIMIT_EXCEEDED for more than 65,534 arrays
 */
export function writeNpz(arrays: readonly ExportedArray[], metadata: string, lastModified: Date): Npz {
  if (arrays.length >= mostMembers) {
    throw new AppError(
      'LIMIT_EXCEEDED',
      `the run has ${arrays.length} arrays, and a .npz file can name ${mostMembers - 1}`,
      'Take export.safetensors.',
    )
  }
  const about = { name: 'metadata.json', input: new TextEncoder().encode(metadata), lastModified }
  const members = arrays.map((array) => ({
    array,
    name: `${array.name}.npy`,
    size: npyFileLength(array),
    lastModified,
  }))
  return {
    length: Number(predictLength([about, ...members.map(({ name, size }) => ({ name, size }))])),
    async *body() {
      function* inputs() {
        yield about
        for (const { array, name, size } of members) yield { name, size, lastModified, input: npyFile(array) }
      }
      const reader = makeZip(inputs()).getReader()
      try {
        for (;;) {
          const { value, done } = await reader.read()
          if (done) return
          yield value
        }
      } finally {
        // Whoever reads may stop early; between two pieces no array holds anything of the database.
        await reader.cancel().catch(() => undefined)
      }
    },
  }
}
