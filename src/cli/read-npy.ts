import { AppError } from '../errors.ts'
import { decodeHalves } from '../render/half-float.ts'

export interface NpyArray {
  shape: number[]
  /** row-major, widened where the file holds half-floats */
  values: Float32Array
}

const magic = '\u0093NUMPY'

/**
 * Reads a NumPy file of float32 or float16, little-endian and row-major, as kvscope's API hands arrays out
 * (NEP 1; numpy.lib.format, versions 1 and 2).
 * @throws AppError INTERNAL where it is anything else
 */
export function readNpy(bytes: Uint8Array): NpyArray {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.byteLength < 12 || Buffer.from(bytes.subarray(0, 6)).toString('latin1') !== magic)
    throw foreign('no header')
  const start = view.getUint8(6) === 1 ? 10 : 12
  const data = start + (start === 10 ? view.getUint16(8, true) : view.getUint32(8, true))
  const header = Buffer.from(bytes.subarray(start, data)).toString('latin1')
  const type = /'descr':\s*'<(f[24])'/.exec(header)?.[1]
  const sizes = /'shape':\s*\(([\d, ]*)\)/.exec(header)?.[1]
  if (type === undefined || sizes === undefined || header.includes("'fortran_order': True")) throw foreign(header)
  const shape = sizes.split(',').flatMap((size) => (size.trim() === '' ? [] : [Number(size)]))
  const count = shape.reduce((product, size) => product * size, 1)
  const width = type === 'f4' ? 4 : 2
  if (bytes.byteLength !== data + count * width) throw foreign(`${bytes.byteLength} bytes for ${header}`)
  if (width === 4)
    return { shape, values: Float32Array.from({ length: count }, (_, at) => view.getFloat32(data + 4 * at, true)) }
  const halves = Uint16Array.from({ length: count }, (_, at) => view.getUint16(data + 2 * at, true))
  return { shape, values: decodeHalves(halves) }
}

function foreign(what: string): AppError {
  return new AppError('INTERNAL', `the server answered with an array that cannot be read: ${what.slice(0, 200)}`)
}
