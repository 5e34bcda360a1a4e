import { AppError } from '../errors.ts'

/** What PostgreSQL cannot hold in text or jsonb: NUL, and halves of a surrogate pair. */
const unstorable = /\0|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g

/** Text of our own or of a crashed process, with what cannot be stored replaced by U+FFFD. */
export function storableText(text: string): string {
  return text.replace(unstorable, '\ufffd')
}

/**
 * Text of a user's, as it is.
 * @throws AppError VALIDATION_FAILED where it cannot be stored as it is
 */
export function requireStorable(what: string, text: string): string {
  const [found] = text.match(unstorable) ?? []
  if (found === undefined) return text
  const code = found.charCodeAt(0).toString(16).padStart(4, '0')
  throw new AppError(
    'VALIDATION_FAILED',
    `${what} has the character U+${code}, which cannot be stored`,
    'Leave it out.',
  )
}

/** A value as JSON for a jsonb parameter. Strings anywhere in it must be storable. */
export function storableJson(what: string, value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) => (typeof part === 'string' ? requireStorable(what, part) : part))
}
