import { safetensorsHeader, tensorBytes } from '../../checkpoints/safetensors-header.ts'
import type { NpyDtype } from '../../render/npy.ts'
import type { ExportedArray } from './exported-array.ts'

const dtypes: Record<NpyDtype, string> = { float64: 'F64', int64: 'I64', float32: 'F32', float16: 'F16', uint8: 'U8' }

export interface SafetensorsFile {
  /** bytes of the whole file */
  length: number
  body(): AsyncIterable<Uint8Array>
}

/**
 * A safetensors file: the header, which places every tensor, comes first, then the data as they are read. Wide elements come
 * first, so that all are aligned to their width.
 * @param metadata what the file says of itself: text only
 */
export function writeSafetensors(
  arrays: readonly ExportedArray[],
  metadata: Readonly<Record<string, string>>,
): SafetensorsFile {
  const tensors = arrays
    .map((array) => ({ array, name: array.name, dtype: dtypes[array.dtype], shape: array.shape }))
    .sort((a, b) => widthOf(b.dtype) - widthOf(a.dtype))
  const header = safetensorsHeader(
    tensors.map(({ name, dtype, shape }) => ({ name, dtype, shape })),
    metadata,
  )
  return {
    length: tensors.reduce((sum, tensor) => sum + tensorBytes(tensor), header.length),
    async *body() {
      yield header
      for (const { array } of tensors) yield* array.bytes()
    },
  }
}

function widthOf(dtype: string): number {
  return tensorBytes({ dtype, shape: [] })
}
