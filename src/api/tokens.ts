import { createHash, timingSafeEqual } from 'node:crypto'
import type { Token } from '../config.ts'
import { AppError } from '../errors.ts'

/** Who asks: a token's name, or null where no tokens are configured and everybody on the machine may ask. */
export type Caller = string | null

const digest = (text: string) => createHash('sha256').update(text).digest()

/**
 * Finds the token that a secret belongs to. Digests of equal length are compared in constant time, and all of them, so
 * that the time taken tells nothing about any secret.
 * @throws AppError UNAUTHENTICATED
 */
export function authenticate(tokens: readonly Token[], secret: string | null): Caller {
  if (tokens.length === 0) return null
  const given = digest(secret ?? '')
  let caller: Caller = null
  for (const token of tokens) if (timingSafeEqual(digest(token.secret), given)) caller = token.name
  if (caller !== null) return caller
  throw new AppError(
    'UNAUTHENTICATED',
    secret === null ? 'the request carries no token' : 'the token is not one of those that this server knows',
    'Send "authorization: Bearer SECRET" as a header, over WebSocket in connectionParams.',
  )
}

/** The secret of an `authorization` header; null where there is none of the Bearer kind. */
export function bearerSecret(header: unknown): string | null {
  if (typeof header !== 'string') return null
  return /^Bearer +(\S+) *$/i.exec(header)?.[1] ?? null
}

/** The secret in a WebSocket's connectionParams: `authorization: 'Bearer ...'` or `token`. */
export function connectionSecret(params: Readonly<Record<string, unknown>> | undefined): string | null {
  if (typeof params?.token === 'string') return params.token
  return bearerSecret(params?.authorization ?? params?.Authorization)
}
