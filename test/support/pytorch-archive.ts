import { crc32 } from 'node:zlib'

/** A file of an archive, stored as torch stores it unless told otherwise. */
export interface ArchivedFile {
  name: string
  bytes: Buffer
  method?: number
  flags?: number
  /** what the directory says of it in place of the truth */
  stated?: { size?: number; offset?: number; localName?: string }
}

/**
 * A zip archive of files stored as they are (APPNOTE.TXT, sections 4.3.7, 4.3.12 and 4.3.16), with 64-bit sizes in the
 * directory and at the end where it is `wide` (4.3.14, 4.3.15, 4.5.3).
 */
export function zipOf(
  files: readonly ArchivedFile[],
  end: { count?: number; offset?: number; wide?: boolean } = {},
): Buffer {
  const parts: Buffer[] = []
  const directory: Buffer[] = []
  let offset = 0
  for (const { name, bytes, method = 0, flags = 0, stated = {} } of files) {
    const local = Buffer.alloc(30)
    const localName = Buffer.from(stated.localName ?? name)
    local.writeUInt32LE(0x04034b50, 0)
    local.writeUInt16LE(method, 8)
    local.writeUInt32LE(crc32(bytes), 14)
    local.writeUInt32LE(bytes.length, 18)
    local.writeUInt32LE(bytes.length, 22)
    local.writeUInt16LE(localName.length, 26)
    // torch pads this field so that the data begin at a multiple of 64 bytes.
    const padding = Buffer.alloc((64 - ((offset + 30 + localName.length) % 64)) % 64)
    local.writeUInt16LE(padding.length, 28)
    const central = Buffer.alloc(46)
    central.writeUInt32LE(0x02014b50, 0)
    central.writeUInt16LE(flags, 8)
    central.writeUInt16LE(method, 10)
    central.writeUInt32LE(crc32(bytes), 16)
    central.writeUInt32LE(stated.size ?? bytes.length, 20)
    central.writeUInt32LE(stated.size ?? bytes.length, 24)
    central.writeUInt16LE(Buffer.byteLength(name), 28)
    central.writeUInt32LE(stated.offset ?? offset, 42)
    const sizes = Buffer.alloc(end.wide ? 28 : 0)
    if (end.wide) {
      for (const place of [20, 24, 42]) central.writeUInt32LE(0xffff_ffff, place)
      central.writeUInt16LE(sizes.length, 30)
      sizes.writeUInt16LE(1, 0)
      sizes.writeUInt16LE(24, 2)
      for (const [place, value] of [bytes.length, bytes.length, offset].entries()) {
        sizes.writeBigUInt64LE(BigInt(value), 4 + 8 * place)
      }
    }
    directory.push(central, Buffer.from(name), sizes)
    parts.push(local, localName, padding, bytes)
    offset += 30 + localName.length + padding.length + bytes.length
  }
  const listed = Buffer.concat(directory)
  const last = Buffer.alloc(22)
  last.writeUInt32LE(0x06054b50, 0)
  last.writeUInt16LE(end.count ?? files.length, 8)
  last.writeUInt16LE(end.count ?? files.length, 10)
  last.writeUInt32LE(listed.length, 12)
  last.writeUInt32LE(end.offset ?? offset, 16)
  if (!end.wide) return Buffer.concat([...parts, listed, last])
  const last64 = Buffer.alloc(56)
  last64.writeUInt32LE(0x06064b50, 0)
  last64.writeBigUInt64LE(44n, 4)
  last64.writeBigUInt64LE(BigInt(files.length), 24)
  last64.writeBigUInt64LE(BigInt(files.length), 32)
  last64.writeBigUInt64LE(BigInt(listed.length), 40)
  last64.writeBigUInt64LE(BigInt(offset), 48)
  const locator = Buffer.alloc(20)
  locator.writeUInt32LE(0x07064b50, 0)
  locator.writeBigUInt64LE(BigInt(offset + listed.length), 8)
  locator.writeUInt32LE(1, 16)
  last.writeUInt16LE(0xffff, 10)
  last.writeUInt32LE(0xffff_ffff, 12)
  last.writeUInt32LE(0xffff_ffff, 16)
  return Buffer.concat([...parts, listed, last64, locator, last])
}

/** Opcodes of a pickle, as torch.save writes them for a state dict. */
export const op = {
  proto: (protocol = 2) => Buffer.from([0x80, protocol]),
  global: (module: string, name: string) => Buffer.from(`c${module}\n${name}\n`),
  text(value: string) {
    const length = Buffer.alloc(4)
    length.writeUInt32LE(Buffer.byteLength(value))
    return Buffer.concat([Buffer.from('X'), length, Buffer.from(value)])
  },
  int(value: number) {
    const bytes = Buffer.alloc(4)
    bytes.writeInt32LE(value)
    return Buffer.concat([Buffer.from('J'), bytes])
  },
  tuple: (...items: Buffer[]) => Buffer.concat([Buffer.from('('), ...items, Buffer.from('t')]),
  raw: (text: string) => Buffer.from(text, 'latin1'),
  dict: () => Buffer.concat([op.global('collections', 'OrderedDict'), op.raw(')R')]),
}

export interface PickledView {
  storage?: Buffer
  key: string
  /** values of the storage */
  count: number
  offset?: number
  shape: readonly number[]
  strides: readonly number[]
}

export function tensorOp({ storage, key, count, offset = 0, shape, strides }: PickledView): Buffer {
  const type = storage ?? op.global('torch', 'FloatStorage')
  const id = op.tuple(op.text('storage'), type, op.text(key), op.text('cpu'), op.int(count))
  return Buffer.concat([
    op.global('torch._utils', '_rebuild_tensor_v2'),
    op.tuple(
      Buffer.concat([id, op.raw('Q')]),
      op.int(offset),
      op.tuple(...shape.map(op.int)),
      op.tuple(...strides.map(op.int)),
      op.raw('\x89'),
      op.dict(),
    ),
    op.raw('R'),
  ])
}

/** The pickle of a state dict with these values by name. */
export function stateDict(items: readonly (readonly [name: string, value: Buffer])[]): Buffer {
  const pairs = items.flatMap(([name, value]) => [op.text(name), value])
  return Buffer.concat([op.proto(), op.dict(), op.raw('('), ...pairs, op.raw('u.')])
}

/** Tensors of 32 bits as torch.save would write them. */
export function pytorchFile(
  tensors: readonly { name: string; shape: readonly number[]; values: Float32Array }[],
): Buffer {
  const items = tensors.map(({ name, shape, values }, index) => {
    const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, size) => product * size, 1))
    return [name, tensorOp({ key: String(index), count: values.length, shape, strides })] as const
  })
  return zipOf([
    { name: 'archive/data.pkl', bytes: stateDict(items) },
    { name: 'archive/byteorder', bytes: Buffer.from('little') },
    ...tensors.map(({ values }, index) => ({
      name: `archive/data/${index}`,
      bytes: Buffer.from(values.buffer, values.byteOffset, values.byteLength),
    })),
    { name: 'archive/version', bytes: Buffer.from('3\n') },
  ])
}
