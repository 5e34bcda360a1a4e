import { randomBytes } from 'node:crypto'
import { AppError } from '../errors.ts'

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

/** A UUID of version 7 (RFC 9562): milliseconds first, so that new rows lie together in the indexes. */
export function newRunId(): string {
  const bytes = randomBytes(16)
  bytes.writeUIntBE(Date.now(), 0, 6)
  bytes.writeUInt8(0x70 | (bytes.readUInt8(6) & 0x0f), 6)
  bytes.writeUInt8(0x80 | (bytes.readUInt8(8) & 0x3f), 8)
  const hex = bytes.toString('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}

/** Whether PostgreSQL would take the text as a UUID; other texts are the id of nothing. */
export function isRunId(text: string): boolean {
  return uuid.test(text)
}

export function noSuchRun(id: string): AppError {
  return new AppError(
    'NOT_FOUND',
    `no run has the id ${id.slice(0, 100)}`,
    'The query `runs` lists those that are stored.',
  )
}

/** @throws AppError NOT_FOUND where the text cannot be a run's id */
export function requireRunId(id: string): string {
  if (!isRunId(id)) throw noSuchRun(id)
  return id
}
