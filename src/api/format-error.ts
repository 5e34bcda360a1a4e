import { randomUUID } from 'node:crypto'
import { GraphQLError, type GraphQLFormattedError } from 'graphql'
import { isConnectionLoss } from '../db/connection-loss.ts'
import { AppError, type ErrorRecord, toErrorRecord } from '../errors.ts'
import type { Logger } from '../log.ts'

/** What Apollo calls a request that never reached a resolver because it is malformed. */
const malformed = new Set([
  'GRAPHQL_PARSE_FAILED',
  'GRAPHQL_VALIDATION_FAILED',
  'BAD_USER_INPUT',
  'BAD_REQUEST',
  'OPERATION_RESOLUTION_FAILURE',
  'PERSISTED_QUERY_NOT_SUPPORTED',
])

/** An error in the form in which it leaves the process: ours as they are, the client's faults named, the rest masked. */
export function toPublicError(error: unknown, log: Logger): ErrorRecord {
  const ours = findAppError(error)
  if (ours !== null) return toErrorRecord(ours)
  if (error instanceof GraphQLError && isClientsFault(error)) {
    return { code: 'VALIDATION_FAILED', message: error.message, hint: null }
  }
  const id = randomUUID()
  const cause = causeOf(error)
  log.error({ errorId: id, err: cause }, 'unexpected error')
  if (isConnectionLoss(cause)) {
    return {
      code: 'INTERNAL',
      message: `The database cannot be reached (${id})`,
      hint: `Ask again in a moment: it may be restarting. The server's log has the details under ${id}.`,
    }
  }
  return {
    code: 'INTERNAL',
    message: `An unexpected error occurred (${id})`,
    hint: `The server's log has the details under ${id}.`,
  }
}

/** The same for an error with a place in a GraphQL document and response. */
export function formatError(error: unknown, log: Logger): GraphQLFormattedError {
  const { code, message, hint } = toPublicError(error, log)
  const place = error instanceof GraphQLError ? error.toJSON() : null
  return {
    message,
    ...(place?.locations && { locations: place.locations }),
    ...(place?.path && { path: place.path }),
    extensions: hint === null ? { code } : { code, hint },
  }
}

/** A known error as Apollo takes it from a plugin, with the HTTP status of the whole response. */
export function toGraphQLError(error: AppError, status: number): GraphQLError {
  return new GraphQLError(error.message, { originalError: error, extensions: { http: { status } } })
}

function findAppError(error: unknown): AppError | null {
  for (
    let cause = error;
    cause instanceof Error;
    cause = cause instanceof GraphQLError ? cause.originalError : undefined
  ) {
    if (cause instanceof AppError) return cause
  }
  return null
}

/**
 * Parsing, validation and coercion. An error with a path came out of execution, where only an argument's value can
 * still be the client's fault: graphql-js throws those itself, as GraphQLErrors.
 */
function isClientsFault(error: GraphQLError): boolean {
  const cause = error.originalError
  if (error.path !== undefined) {
    const thrown = cause ?? error
    return thrown instanceof GraphQLError && /^(Argument|Variable) "/.test(thrown.message)
  }
  return malformed.has(String(error.extensions.code)) || cause === undefined || cause instanceof GraphQLError
}

function causeOf(error: unknown): unknown {
  return error instanceof GraphQLError ? (error.originalError ?? error) : error
}
