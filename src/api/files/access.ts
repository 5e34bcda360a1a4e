import type { RequestHandler } from 'express'
import type { Config } from '../../config.ts'
import { AppError } from '../../errors.ts'
import { authenticate, bearerSecret } from '../tokens.ts'

/** Pictures in a page and links cannot carry a header: the page puts its token into this cookie, for both folders of files. */
const tokenCookie = 'kvscope_token'

/**
 * Lets those pass who carry a token, as the header `/graphql` takes or as a cookie. A cookie is sent whoever wrote the
 * link; that is no danger, since nothing under these addresses changes anything and other sites cannot read what comes
 * back.
 */
export function requireToken({ tokens }: Config): RequestHandler {
  return (request, response, next) => {
    // One browser may be used by several: what one was given must not come to the next from its cache.
    if (tokens.length > 0) response.vary('Authorization').vary('Cookie')
    const { authorization, cookie } = request.headers
    response.locals.caller = authenticate(tokens, bearerSecret(authorization) ?? cookieSecret(cookie))
    next()
  }
}

/** The secret in a Cookie header, percent-decoded; null where there is none. */
export function cookieSecret(header: string | undefined): string | null {
  for (const pair of header?.split(';') ?? []) {
    const [name, value] = pair.trim().split('=', 2)
    if (name !== tokenCookie || value === undefined) continue
    try {
      return decodeURIComponent(value)
    } catch {
      return null
    }
  }
  return null
}

/**
 * Refuses what a page of another site has as a part of its own, a frame too: it could not see the picture, but could keep
 * this server drawing. Links from anywhere are followed.
 */
export const refuseEmbedding: RequestHandler = (request, _response, next) => {
  const site = request.headers['sec-fetch-site']
  const foreign = site === 'cross-site' || site === 'same-site'
  const { 'sec-fetch-mode': mode, 'sec-fetch-dest': destination = 'document' } = request.headers
  if (foreign && (mode !== 'navigate' || destination !== 'document')) {
    throw new AppError('FORBIDDEN', 'pages of another site may not show what this server draws')
  }
  next()
}
