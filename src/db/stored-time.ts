import { AppError } from '../errors.ts'

/** The years 1 to 9999: outside them JavaScript and PostgreSQL write a time differently. */
const first = Date.parse('0001-01-01T00:00:00.000Z')
const last = Date.parse('9999-12-31T23:59:59.999Z')

/** @param time in milliseconds since 1970 */
export function isStorableTime(time: number): boolean {
  return time >= first && time <= last
}

/**
 * A user's time as a parameter.
 * @throws AppError VALIDATION_FAILED where it is no time of the years 1 to 9999
 */
export function requireStorableTime(what: string, time: Date): string {
  if (isStorableTime(time.getTime())) return time.toISOString()
  const shown = Number.isNaN(time.getTime()) ? 'no time' : time.toISOString()
  throw new AppError('VALIDATION_FAILED', `${what} is ${shown}`, 'Give a time of the years 1 to 9999.')
}
