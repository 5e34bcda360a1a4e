import { crc32 } from 'node:zlib'

/**
 * The members of a zip archive of stored files, by its central directory as readers have it (APPNOTE.TXT 4.3), with every
 * length, place and checksum looked at.
 */
export function readZip(archive: Buffer): Map<string, Buffer> {
  const end = archive.length - 22
  if (archive.readUInt32LE(end) !== 0x06054b50) throw new Error('no end of a central directory')
  const count = archive.readUInt16LE(end + 10)
  const directory = { bytes: archive.readUInt32LE(end + 12), start: archive.readUInt32LE(end + 16) }
  const members = new Map<string, Buffer>()
  let at = directory.start
  for (let member = 0; member < count; member += 1) {
    if (archive.readUInt32LE(at) !== 0x02014b50) throw new Error(`no member ${member}`)
    if (archive.readUInt16LE(at + 10) !== 0) throw new Error(`member ${member} is compressed`)
    const [checksum, packed, length] = [16, 20, 24].map((field) => archive.readUInt32LE(at + field))
    const [nameLength = 0, extraLength = 0, commentLength = 0] = [28, 30, 32].map((field) =>
      archive.readUInt16LE(at + field),
    )
    const name = archive.toString('utf8', at + 46, at + 46 + nameLength)
    const local = archive.readUInt32LE(at + 42)
    if (archive.readUInt32LE(local) !== 0x04034b50) throw new Error(`${name} is not where it should be`)
    const start = local + 30 + archive.readUInt16LE(local + 26) + archive.readUInt16LE(local + 28)
    const data = archive.subarray(start, start + (length ?? 0))
    if (packed !== length || crc32(data) !== checksum) throw new Error(`${name} is not what it should be`)
    if (members.has(name)) throw new Error(`${name} is there twice`)
    members.set(name, data)
    at += 46 + nameLength + extraLength + commentLength
  }
  if (at !== directory.start + directory.bytes || at !== end)
    throw new Error('the central directory has another length')
  return members
}
