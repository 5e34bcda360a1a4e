import type { Rgb } from './colour-space.ts'

/**
 * A PNG of palette indices, made without a compressor: a browser has no synchronous one, so the deflate stream holds
 * stored blocks (RFC 1951, 3.2.4). A byte a cell is small enough; on the wire the whole SVG is gzipped anyway.
 * @param indices [rows, columns], each below `palette.length` (at most 256)
 */
export function encodePalettePng(indices: Uint8Array, columns: number, palette: readonly Rgb[]): Uint8Array {
  const rows = indices.length / columns
  const header = new Uint8Array(13)
  const view = new DataView(header.buffer)
  view.setUint32(0, columns)
  view.setUint32(4, rows)
  header.set([8, 3, 0, 0, 0], 8) // 8 bits a pixel, palette, deflate, filters by row, not interlaced
  const scanlines = new Uint8Array(rows * (columns + 1))
  for (let row = 0; row < rows; row++) {
    scanlines.set(indices.subarray(row * columns, (row + 1) * columns), row * (columns + 1) + 1)
  }
  return concatenate([
    Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a),
    chunk('IHDR', header),
    chunk('PLTE', Uint8Array.from(palette.flat())),
    chunk('IDAT', storeZlib(scanlines)),
    chunk('IEND', new Uint8Array()),
  ])
}

/** The PNG as an address that needs no request. */
export function pngDataUri(png: Uint8Array): string {
  let binary = ''
  for (let at = 0; at < png.length; at += 0x8000) binary += String.fromCharCode(...png.subarray(at, at + 0x8000))
  return `data:image/png;base64,${btoa(binary)}`
}

function storeZlib(data: Uint8Array): Uint8Array {
  const parts: Uint8Array[] = [Uint8Array.of(0x78, 0x01)]
  for (let at = 0; at < data.length; at += 0xffff) {
    const block = data.subarray(at, at + 0xffff)
    const last = at + block.length === data.length ? 1 : 0
    const length = block.length
    parts.push(Uint8Array.of(last, length & 255, length >> 8, ~length & 255, (~length >> 8) & 255), block)
  }
  parts.push(bigEndian(adler32(data)))
  return concatenate(parts)
}

function chunk(type: string, data: Uint8Array): Uint8Array {
  const body = concatenate([Uint8Array.from(type, (letter) => letter.charCodeAt(0)), data])
  return concatenate([bigEndian(data.length), body, bigEndian(crc32(body))])
}

function bigEndian(word: number): Uint8Array {
  return Uint8Array.of(word >>> 24, (word >>> 16) & 255, (word >>> 8) & 255, word & 255)
}

function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

const crcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  let c = byte
  for (let bit = 0; bit < 8; bit++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1
  return c
})

/** CRC-32 of the PNG specification, annex D. */
function crc32(data: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of data) crc = (crcTable[(crc ^ byte) & 255] ?? 0) ^ (crc >>> 8)
  return (crc ^ 0xffffffff) >>> 0
}

/** Adler-32 of RFC 1950. */
function adler32(data: Uint8Array): number {
  let a = 1
  let b = 0
  for (const byte of data) {
    a = (a + byte) % 65521
    b = (b + a) % 65521
  }
  return ((b << 16) | a) >>> 0
}
