import type { ErrorRequestHandler, RequestHandler, Response } from 'express'
import type { Config } from '../config.ts'
import { AppError, type ErrorCode, type ErrorRecord } from '../errors.ts'
import type { Logger } from '../log.ts'
import { toPublicError } from './format-error.ts'
import { hostAllowed, originAllowed } from './hosts.ts'

const statuses: Partial<Record<ErrorCode, number>> = {
  VALIDATION_FAILED: 400,
  UNAUTHENTICATED: 401,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  LIMIT_EXCEEDED: 413,
}

/** Says each answered request at debug: never headers or bodies, which may hold secrets. */
export function logRequests(log: Logger): RequestHandler {
  return (request, response, next) => {
    const start = performance.now()
    response.on('finish', () => {
      const { method, path } = request
      log.debug({ method, path, status: response.statusCode, ms: Math.round(performance.now() - start) }, 'answered')
    })
    next()
  }
}

/** For every answer; the playground sets a policy of its own. */
export const securityHeaders: RequestHandler = (_request, response, next) => {
  response.set({
    'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
    'X-Content-Type-Options': 'nosniff',
    'X-Frame-Options': 'DENY',
    'Referrer-Policy': 'no-referrer',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cache-Control': 'no-store',
  })
  next()
}

/** Refuses names that are not ours (DNS rebinding) and requests made by other sites' pages. */
export function refuseForeignPages(config: Config): RequestHandler {
  return (request, _response, next) => {
    const { host, origin } = request.headers
    if (!hostAllowed(host, config)) {
      throw new AppError(
        'FORBIDDEN',
        `the request was sent to the host "${(host ?? '').slice(0, 100)}", which is none of this server's names`,
        'Add the name to KVSCOPE_ALLOWED_HOSTS if it is yours.',
      )
    }
    if (!originAllowed(origin, host)) {
      throw new AppError('FORBIDDEN', `pages of ${String(origin).slice(0, 100)} may not use this server`)
    }
    next()
  }
}

export const answerUnknownPaths: RequestHandler = (request) => {
  throw new AppError(
    'NOT_FOUND',
    `nothing is served at ${request.method} ${request.path.slice(0, 100)}`,
    'GraphQL is at /graphql; /healthz and /readyz tell how the server is.',
  )
}

/** Errors outside GraphQL leave in the form that GraphQL's have. */
export function answerErrors(log: Logger): ErrorRequestHandler {
  return (error: unknown, _request, response, next) => {
    if (response.headersSent) return next(error)
    const refused = refusedBody(error) ?? refusedAddress(error)
    const record = toPublicError(refused?.error ?? error, log)
    sendError(response, refused?.status ?? statuses[record.code] ?? 500, record)
  }
}

function sendError(response: Response, status: number, { code, message, hint }: ErrorRecord): void {
  if (status === 401) response.set('WWW-Authenticate', 'Bearer realm="kvscope"')
  response.status(status).json({ errors: [{ message, extensions: hint === null ? { code } : { code, hint } }] })
}

/** An address with a percent sign that begins no character. */
function refusedAddress(error: unknown): { error: AppError; status: number } | null {
  if (!(error instanceof URIError)) return null
  return { error: new AppError('VALIDATION_FAILED', `the address cannot be read: ${error.message}`), status: 400 }
}

/** What the body parser says no to, in our words. Its errors have a type and a status. */
function refusedBody(error: unknown): { error: AppError; status: number } | null {
  if (!(error instanceof Error) || !('type' in error) || !('status' in error)) return null
  const { type, status } = error
  if (typeof status !== 'number' || status < 400 || status > 499) return null
  if (type === 'entity.too.large') {
    const limit = 'limit' in error ? ` of ${error.limit} bytes` : ''
    const refusal = new AppError(
      'LIMIT_EXCEEDED',
      `the request's body is longer than the limit${limit}`,
      'Send less at once.',
    )
    return { error: refusal, status }
  }
  return { error: new AppError('VALIDATION_FAILED', `the request's body cannot be read: ${error.message}`), status }
}
