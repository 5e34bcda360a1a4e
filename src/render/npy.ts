/** Element types that we export, under NumPy's names. Half-floats are handed over as their bits. */
export type NpyDtype = 'float64' | 'float32' | 'float16' | 'uint8' | 'int64'
export type NpyArray = Float64Array | Float32Array | Uint16Array | Uint8Array | BigInt64Array

const types: Record<NpyDtype, { descr: string; bytes: number }> = {
  float64: { descr: '<f8', bytes: 8 },
  float32: { descr: '<f4', bytes: 4 },
  float16: { descr: '<f2', bytes: 2 },
  uint8: { descr: '|u1', bytes: 1 },
  int64: { descr: '<i8', bytes: 8 },
}

/**
 * The header of a .npy file of version 1.0 (numpy.lib.format), C order, padded so that the data begins at a multiple of 64.
 * @param shape sizes of the axes, row-major; [] is a scalar
 */
export function npyHeader(dtype: NpyDtype, shape: readonly number[]): Uint8Array {
  const axes = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(', ')})`
  const dictionary = `{'descr': '${types[dtype].descr}', 'fortran_order': False, 'shape': ${axes}, }`
  const preamble = 10
  const padded = Math.ceil((preamble + dictionary.length + 1) / 64) * 64
  const text = `${dictionary.padEnd(padded - preamble - 1)}\n`
  const header = new Uint8Array(padded)
  header.set([0x93, ...Array.from('NUMPY', (letter) => letter.charCodeAt(0)), 1, 0])
  new DataView(header.buffer).setUint16(8, text.length, true)
  for (let i = 0; i < text.length; i++) header[preamble + i] = text.charCodeAt(i)
  return header
}

/** Bytes of the whole file. */
export function npyByteLength(dtype: NpyDtype, shape: readonly number[]): number {
  return npyHeader(dtype, shape).length + countOf(shape) * types[dtype].bytes
}

/**
 * A .npy file in chunks: the header, then each part of the data as it comes.
 * @throws RangeError where the parts hold more or fewer values than the shape, or values of another width
 */
export function* encodeNpy(
  dtype: NpyDtype,
  shape: readonly number[],
  parts: Iterable<NpyArray>,
): Generator<Uint8Array> {
  yield npyHeader(dtype, shape)
  const expected = countOf(shape)
  let count = 0
  for (const part of parts) {
    if (part.BYTES_PER_ELEMENT !== types[dtype].bytes) {
      throw new RangeError(`An array of ${dtype} got values of ${part.BYTES_PER_ELEMENT} bytes.`)
    }
    count += part.length
    if (count > expected) throw new RangeError(`An array of shape [${shape}] has ${expected} values; ${count} came.`)
    yield littleEndianBytes(part)
  }
  if (count !== expected) throw new RangeError(`An array of shape [${shape}] has ${expected} values; ${count} came.`)
}

const hostIsLittleEndian = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1

/** The values as little-endian bytes: the same memory on nearly all machines, a turned copy on the others. */
export function littleEndianBytes(array: NpyArray): Uint8Array {
  const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
  return hostIsLittleEndian ? bytes : reverseElements(bytes, array.BYTES_PER_ELEMENT)
}

function reverseElements(bytes: Uint8Array, width: number): Uint8Array {
  const turned = new Uint8Array(bytes)
  for (let at = 0; at < turned.length; at += width) turned.subarray(at, at + width).reverse()
  return turned
}

function countOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1)
}
