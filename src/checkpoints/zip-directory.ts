import { AppError } from '../errors.ts'
import { quote } from './quote.ts'
import type { HeaderSource } from './safetensors.ts'

/** A file of an archive that is stored as it is, neither compressed nor encrypted. */
export interface ZipEntry {
  name: string
  /** bytes from the start of the archive to its local header */
  headerOffset: number
  size: number
}

export interface ZipDirectory {
  /** by name, in the archive's order */
  entries: ReadonlyMap<string, ZipEntry>
  /** the central directory as it stands in the file */
  bytes: Uint8Array
  /** where it begins: files lie before it */
  offset: number
}

/** Bounds on the directory, which is read whole: torch writes an entry a tensor, of some 100 bytes. */
const most = { entries: 200_000, directoryBytes: 64 * 1024 * 1024, comment: 0xffff } as const
const endSize = 22
const signatures = { local: 0x04034b50, central: 0x02014b50, end: 0x06054b50, end64: 0x06064b50, locator64: 0x07064b50 }
const unknown32 = 0xffff_ffff
const unknown16 = 0xffff

function invalid({ name }: HeaderSource, message: string): never {
  throw new AppError('CHECKPOINT_INVALID', `${name}: ${message}`, 'Download the file again.')
}

async function readAt(file: HeaderSource, offset: number, length: number): Promise<Buffer> {
  const bytes = await file.read(offset, length)
  if (bytes.length !== length) invalid(file, `ended after ${bytes.length} of ${length} bytes at byte ${offset}`)
  return bytes
}

/**
 * Reads the central directory of a zip archive (PKWARE, APPNOTE.TXT 6.3.10, sections 4.3.12 to 4.3.16; 64-bit sizes
 * too). What lies in the archive is not read.
 * @throws AppError CHECKPOINT_INVALID where it is no archive, or an entry is compressed, encrypted, named twice or
 * outside the file
 */
export async function readZipDirectory(file: HeaderSource): Promise<ZipDirectory> {
  const { count, length, offset } = await findDirectory(file)
  if (count > most.entries) invalid(file, `it holds ${count} files, and at most ${most.entries} are read`)
  if (length > most.directoryBytes || offset + length > file.size) {
    invalid(file, `its directory takes ${length} bytes at byte ${offset}, and the file has ${file.size}`)
  }
  const bytes = await readAt(file, offset, length)
  const entries = new Map<string, ZipEntry>()
  let at = 0
  for (let index = 0; index < count; index += 1) {
    if (at + 46 > length || bytes.readUInt32LE(at) !== signatures.central) {
      return invalid(file, `entry ${index} of ${count} is not in its directory`)
    }
    const { entry, next } = readEntry(file, bytes, at)
    if (entries.has(entry.name)) invalid(file, `it holds ${quote(entry.name)} twice`)
    if (entry.headerOffset + 30 + entry.size > offset) {
      invalid(
        file,
        `${quote(entry.name)} takes ${entry.size} bytes at byte ${entry.headerOffset}, beyond its directory`,
      )
    }
    entries.set(entry.name, entry)
    at = next
  }
  return { entries, bytes, offset }
}

/** Where the directory lies, by the record at the end of the file. */
async function findDirectory(file: HeaderSource): Promise<{ count: number; length: number; offset: number }> {
  const tailStart = Math.max(0, file.size - endSize - most.comment)
  const tail = await readAt(file, tailStart, file.size - tailStart)
  let at = tail.length - endSize
  while (
    at >= 0 &&
    !(tail.readUInt32LE(at) === signatures.end && at + endSize + tail.readUInt16LE(at + 20) === tail.length)
  )
    at -= 1
  if (at < 0) return invalid(file, 'is no zip archive')
  const [count, length, offset] = [tail.readUInt16LE(at + 10), tail.readUInt32LE(at + 12), tail.readUInt32LE(at + 16)]
  if (count !== unknown16 && length !== unknown32 && offset !== unknown32) return { count, length, offset }

  const locatorAt = tailStart + at - 20
  const absent = () => invalid(file, 'the 64-bit end that it promises is not there')
  const locator = locatorAt < 0 ? absent() : await readAt(file, locatorAt, 20)
  if (locator.readUInt32LE(0) !== signatures.locator64) absent()
  const endAt = toNumber(file, locator.readBigUInt64LE(8))
  if (endAt + 56 > file.size) absent()
  const end = await readAt(file, endAt, 56)
  if (end.readUInt32LE(0) !== signatures.end64) absent()
  return {
    count: toNumber(file, end.readBigUInt64LE(32)),
    length: toNumber(file, end.readBigUInt64LE(40)),
    offset: toNumber(file, end.readBigUInt64LE(48)),
  }
}

function toNumber(file: HeaderSource, value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) invalid(file, `it speaks of ${value} bytes`)
  return Number(value)
}

function readEntry(file: HeaderSource, bytes: Buffer, at: number): { entry: ZipEntry; next: number } {
  const [nameLength, extraLength, commentLength] = [28, 30, 32].map((place) => bytes.readUInt16LE(at + place))
  const nameEnd = at + 46 + (nameLength ?? 0)
  const extraEnd = nameEnd + (extraLength ?? 0)
  const next = extraEnd + (commentLength ?? 0)
  if (next > bytes.length) return invalid(file, 'an entry of its directory is cut off')
  const name = bytes.toString('utf8', at + 46, nameEnd)
  const method = bytes.readUInt16LE(at + 10)
  if ((bytes.readUInt16LE(at + 8) & 1) !== 0) invalid(file, `${quote(name)} is encrypted`)
  if (method !== 0)
    invalid(file, `${quote(name)} is compressed (method ${method}), and torch stores its files as they are`)

  const wide = wideSizes(file, bytes.subarray(nameEnd, extraEnd), [
    bytes.readUInt32LE(at + 24),
    bytes.readUInt32LE(at + 20),
    bytes.readUInt32LE(at + 42),
  ])
  const [size = 0, stored = 0, headerOffset = 0] = wide
  if (size !== stored) invalid(file, `${quote(name)} is ${size} bytes long and stored in ${stored}`)
  return { entry: { name, headerOffset, size }, next }
}

/** Sizes of 32 bits, those that are all ones taken from the entry's 64-bit field (APPNOTE 4.5.3). */
function wideSizes(file: HeaderSource, extra: Buffer, sizes: readonly number[]): number[] {
  if (!sizes.includes(unknown32)) return [...sizes]
  for (let at = 0; at + 4 <= extra.length; at += 4 + extra.readUInt16LE(at + 2)) {
    if (extra.readUInt16LE(at) !== 1) continue
    let field = at + 4
    return sizes.map((size) => {
      if (size !== unknown32) return size
      if (field + 8 > extra.length) return invalid(file, 'a 64-bit size that it promises is not there')
      field += 8
      return toNumber(file, extra.readBigUInt64LE(field - 8))
    })
  }
  return invalid(file, 'a 64-bit size that it promises is not there')
}

/**
 * Where the bytes of an entry begin: its local header has a name and a field of padding of its own.
 * @throws AppError CHECKPOINT_INVALID where the local header is another's, or the bytes reach into the directory
 */
export async function dataOffset(file: HeaderSource, directory: ZipDirectory, entry: ZipEntry): Promise<number> {
  const misplaced = () =>
    invalid(file, `${quote(entry.name)} does not begin at byte ${entry.headerOffset}, as its directory says`)
  const stated = Buffer.from(entry.name)
  const header = await readAt(file, entry.headerOffset, 30 + stated.length)
  const named = header.readUInt16LE(26) === stated.length && header.subarray(30).equals(stated)
  if (header.readUInt32LE(0) !== signatures.local || !named) misplaced()
  const start = entry.headerOffset + 30 + stated.length + header.readUInt16LE(28)
  if (start + entry.size > directory.offset) {
    return invalid(file, `${quote(entry.name)} ends at byte ${start + entry.size}, inside the directory`)
  }
  return start
}

/** The bytes of an entry. @throws AppError CHECKPOINT_INVALID where it is longer than `maxBytes` */
export async function readZipEntry(
  file: HeaderSource,
  directory: ZipDirectory,
  entry: ZipEntry,
  maxBytes: number,
): Promise<Buffer> {
  if (entry.size > maxBytes) {
    invalid(file, `${quote(entry.name)} is ${entry.size} bytes long, and at most ${maxBytes} are read`)
  }
  return readAt(file, await dataOffset(file, directory, entry), entry.size)
}
