import { AppError } from '../errors.ts'
import { isRecord, quote } from './quote.ts'

/**
 * What a header may hold before it is parsed: the index of DeepSeek-V3's 163 files names 92,000 tensors, and a tensor
 * costs about six commas. Without these bounds 100 MB of `[],[],[]` would become gigabytes of objects, and two million
 * names would take minutes.
 */
export const headerLimits = { depth: 3, names: 200_000, commas: 1_500_000 } as const

const hint = 'Download the file again, or save it again with safetensors.'
const [quoteMark, backslash, comma, colon] = [0x22, 0x5c, 0x2c, 0x3a]
const isSpace = (byte: number | undefined) => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09
const isOpening = (byte: number | undefined) => byte === 0x7b || byte === 0x5b
const isClosing = (byte: number | undefined) => byte === 0x7d || byte === 0x5d

/** Index of the quote that closes the string opened at `start`. */
function endOfString(bytes: Uint8Array, start: number): number {
  let at = start + 1
  while (at < bytes.length && bytes[at] !== quoteMark) at += bytes[at] === backslash ? 2 : 1
  return at
}

/**
 * Walks once over the text and allocates only the keys of the objects that are open.
 * @throws what is wrong, in words, before anything is parsed
 */
function scan(bytes: Uint8Array, decode: (part: Uint8Array) => string): void {
  const open: Set<string>[] = []
  let commas = 0
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]
    if (byte === quoteMark) {
      const end = endOfString(bytes, at)
      let next = end + 1
      while (isSpace(bytes[next])) next++
      const keys = open.at(-1)
      if (bytes[next] === colon && keys) {
        const key: string = JSON.parse(decode(bytes.subarray(at, end + 1)))
        if (keys.has(key)) throw new Error(`it names ${quote(key)} twice`)
        keys.add(key)
        if (keys.size > headerLimits.names)
          throw new Error(`it has more than ${headerLimits.names} names in one object`)
      }
      at = end
    } else if (isOpening(byte)) {
      open.push(new Set())
      if (open.length > headerLimits.depth) throw new Error(`it is nested more than ${headerLimits.depth} deep`)
    } else if (isClosing(byte)) open.pop()
    else if (byte === comma && ++commas > headerLimits.commas) {
      throw new Error(`it lists more than ${headerLimits.commas} values`)
    }
  }
}

/**
 * Parses the JSON of a safetensors header or of a shards index, after a scan that bounds what parsing can allocate.
 * JSON.parse keeps the last of two equal keys without a word; the scan refuses them.
 * @throws AppError CHECKPOINT_INVALID where it is not JSON, not an object, too deep, too long, or names a key twice
 */
export function parseHeaderJson(bytes: Uint8Array, file: string): Record<string, unknown> {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  let parsed: unknown
  try {
    scan(bytes, (part) => decoder.decode(part))
    parsed = JSON.parse(decoder.decode(bytes))
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new AppError('CHECKPOINT_INVALID', `${file}: its JSON cannot be read: ${reason}`, hint, cause)
  }
  if (isRecord(parsed)) return parsed
  throw new AppError('CHECKPOINT_INVALID', `${file}: its JSON is not an object`, hint)
}
