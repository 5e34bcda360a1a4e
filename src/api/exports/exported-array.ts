import { type NpyDtype, npyByteLength, npyHeader } from '../../render/npy.ts'

/** One array of a run, known before any of it is read. Its name is of letters, digits and `_ - . @ + /`. */
export interface ExportedArray {
  name: string
  dtype: NpyDtype
  shape: readonly number[]
  /** what its axes count */
  axes: readonly string[]
  /** row-major, little-endian, in pieces of a few MB at most; may be asked for once more */
  bytes(): AsyncIterable<Uint8Array> | Iterable<Uint8Array>
}

/** The same as an archive's list of contents says it. */
export function describeArray({ name, dtype, shape, axes }: ExportedArray) {
  return { name, dtype, shape, axes }
}

/** An array as a .npy file. */
export async function* npyFile({ dtype, shape, bytes }: ExportedArray): AsyncGenerator<Uint8Array> {
  yield npyHeader(dtype, shape)
  yield* bytes()
}

export function npyFileLength({ dtype, shape }: ExportedArray): number {
  return npyByteLength(dtype, shape)
}

/**
 * A part of an array's name out of text that people wrote: what could mislead a path is `_`, and a name that was given
 * before gets a number, also where only capitals differ, which some file systems do not tell apart.
 */
export function createNamer(): (text: string) => string {
  const given = new Set<string>()
  return (text) => {
    const safe =
      text
        .replace(/[^\w.@+-]/g, '_')
        .replace(/^\.+/, '_')
        .slice(0, 80) || '_'
    let name = safe
    for (let again = 2; given.has(name.toLowerCase()); again += 1) name = `${safe}-${again}`
    given.add(name.toLowerCase())
    return name
  }
}
