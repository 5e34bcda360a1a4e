import { AppError } from '../errors.ts'
import { bitsOf } from './dtypes.ts'
import { parseHeaderJson } from './header-json.ts'
import { quote } from './quote.ts'
import { openRegular } from './regular-file.ts'

/** The format's own limit on a header (safetensors/src/tensor.rs, MAX_HEADER_SIZE). */
const maxHeaderBytes = 100_000_000

/** A tensor as a header states it; its dtype may be one that the engine does not read. */
export interface StoredTensor {
  name: string
  dtype: string
  shape: number[]
  /** bytes from the start of the file, header included */
  offset: number
  length: number
}

export interface SafetensorsHeader {
  tensors: StoredTensor[]
  metadata: Record<string, string>
  /** the header as it stands in the file, its length prefix included */
  bytes: Uint8Array
}

const hint = 'Download the file again, or save it again with safetensors.'

function invalid(file: string, message: string): never {
  throw new AppError('CHECKPOINT_INVALID', `${file}: ${message}`, hint)
}

/** Where a header is read from: a file, or its like on a hub. */
export interface HeaderSource {
  /** as errors name it */
  name: string
  /** bytes of the whole file */
  size: number
  /** Bytes from `offset` on: `length` of them, or fewer where the file ends before. */
  read(offset: number, length: number): Promise<Buffer>
}

/**
 * Reads the header of one safetensors file: eight bytes of length, JSON, then tensor data without holes
 * (https://github.com/huggingface/safetensors, "Format"). No weight is read.
 * @throws AppError CHECKPOINT_INVALID naming the file, the tensor and the value that does not fit
 */
export function readHeader(file: string): Promise<SafetensorsHeader> {
  return fromFile(file, readHeaderFrom)
}

/** Hands a file to a reader of headers, and closes it. @throws AppError CHECKPOINT_INVALID where it is no regular file */
export async function fromFile<T>(file: string, readFrom: (source: HeaderSource) => Promise<T>): Promise<T> {
  const { handle, size } = await openRegular(file)
  try {
    return await readFrom({
      name: file,
      size,
      async read(offset, length) {
        const bytes = Buffer.alloc(length)
        const { bytesRead } = await handle.read(bytes, 0, length, offset)
        return bytes.subarray(0, bytesRead)
      },
    })
  } finally {
    await handle.close()
  }
}

/** The same from wherever it lies. */
export async function readHeaderFrom({ name: file, size, read }: HeaderSource): Promise<SafetensorsHeader> {
  if (size < 8) invalid(file, `is ${size} bytes long, and a header's length alone takes 8`)

  const prefix = await read(0, 8)
  if (prefix.length < 8) invalid(file, `ended after ${prefix.length} of the 8 bytes of its header's length`)
  const length = prefix.readBigUInt64LE()
  if (length > BigInt(maxHeaderBytes)) {
    invalid(file, `the header says it is ${length} bytes long, and the format allows ${maxHeaderBytes}`)
  }
  const start = 8 + Number(length)
  if (start > size) {
    invalid(file, `the header says it is ${length} bytes long, and the file has ${size - 8} after its first 8`)
  }

  const bytes = await read(0, start)
  if (bytes.length !== start) invalid(file, `ended after ${bytes.length} of ${start} bytes of its header`)
  const { __metadata__: metadata = {}, ...entries } = parseHeaderJson(bytes.subarray(8), file)
  const tensors = Object.entries(entries).map(([name, entry]) => readEntry(name, entry, start, file))
  checkLayout(tensors, start, size, file)
  return { tensors, metadata: readMetadata(metadata, file), bytes }
}

function readMetadata(metadata: unknown, file: string): Record<string, string> {
  if (typeof metadata !== 'object' || metadata === null || Array.isArray(metadata)) {
    return invalid(file, `__metadata__ is ${quote(metadata)}, not an object`)
  }
  const texts: [string, string][] = Object.entries(metadata).map(([key, value]) =>
    typeof value === 'string' ? [key, value] : invalid(file, `__metadata__ has ${quote(key)} that is no text`),
  )
  return Object.fromEntries(texts)
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0

function readEntry(name: string, entry: unknown, start: number, file: string): StoredTensor {
  const where = `tensor ${quote(name)}`
  if (typeof entry !== 'object' || entry === null) return invalid(file, `${where} is ${quote(entry)}, not an object`)
  const stated: { dtype?: unknown; shape?: unknown; data_offsets?: unknown } = entry
  const { dtype, shape, data_offsets: offsets } = stated

  const bits = typeof dtype === 'string' ? bitsOf.get(dtype) : undefined
  if (typeof dtype !== 'string' || bits === undefined) {
    return invalid(file, `${where} has dtype ${quote(dtype)}, which safetensors does not know`)
  }
  if (!Array.isArray(shape) || !shape.every(isCount)) {
    return invalid(file, `${where} has shape ${quote(shape)}, not a list of whole numbers`)
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount)) {
    return invalid(file, `${where} has data_offsets ${quote(offsets)}, not two whole numbers`)
  }
  const [from = 0, to = 0]: number[] = offsets
  if (to < from) invalid(file, `${where} has data_offsets [${from}, ${to}], which end before they begin`)

  const wantedBits = shape.reduce<number>((product, size) => product * size, bits)
  if (!Number.isSafeInteger(wantedBits) || wantedBits !== (to - from) * 8) {
    const wanted = Number.isSafeInteger(wantedBits) ? wantedBits / 8 : 'more than any file has'
    invalid(file, `${where} holds ${to - from} bytes, and ${dtype} [${shape.join(', ')}] needs ${wanted}`)
  }
  return { name, dtype, shape, offset: start + from, length: to - from }
}

/** Tensors must lie end to end from the header to the end of the file: no overlap, no hole, nothing outside. */
function checkLayout(tensors: readonly StoredTensor[], start: number, size: number, file: string): void {
  const ordered = [...tensors].sort((a, b) => a.offset - b.offset || a.length - b.length)
  let end = start
  let previous = 'the header'
  for (const tensor of ordered) {
    const where = `tensor ${quote(tensor.name)}`
    const last = tensor.offset + tensor.length
    if (last > size) invalid(file, `${where} ends at byte ${last}, and the file has ${size}`)
    if (tensor.offset < end)
      invalid(file, `${where} begins at byte ${tensor.offset}, inside ${previous}, which ends at ${end}`)
    if (tensor.offset > end) invalid(file, `bytes ${end} to ${tensor.offset}, before ${where}, belong to no tensor`)
    end = last
    previous = where
  }
  if (end < size) invalid(file, `bytes ${end} to ${size}, after ${previous}, belong to no tensor`)
}
