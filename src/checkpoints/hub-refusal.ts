import type { HubSettings } from '../config.ts'
import { AppError } from '../errors.ts'
import type { HubModel } from './hub-names.ts'
import { quote } from './quote.ts'

/**
 * What an answer that is no success means, told apart as huggingface_hub's hf_raise_for_status does: by X-Error-Code where
 * the hub gives one, else by the status.
 * @param waitedMs how long a rate limit was waited out
 */
export function refusalOf(
  { status, headers, url }: Pick<Response, 'status' | 'headers' | 'url'>,
  { repo, revision }: HubModel,
  { endpoint, token }: Pick<HubSettings, 'endpoint' | 'token'>,
): AppError {
  const code = headers.get('x-error-code')
  const said = withoutToken(headers.get('x-error-message'), token)
  const words = said === null ? `status ${status}` : `status ${status}: ${quote(said)}`
  const page = `${endpoint}/${repo}`
  const login = token === null ? 'Set HF_TOKEN to a token that may read it.' : 'Check that HF_TOKEN may read it.'

  if (code === 'GatedRepo') {
    const hint = `Accept its conditions at ${page} with your account. ${login}`
    return new AppError('HUB_ACCESS_DENIED', `${repo} is gated, and access is not granted (${words})`, hint)
  }
  if (code === 'RevisionNotFound') {
    return new AppError(
      'NOT_FOUND',
      `${repo} has no revision ${quote(revision)}`,
      `See the branches and tags at ${page}.`,
    )
  }
  if (code === 'EntryNotFound') {
    return new AppError(
      'NOT_FOUND',
      `${repo} at ${revision} has no ${fileOf(url)}`,
      `See its files at ${page}/tree/${revision}.`,
    )
  }
  if (status === 401 && said?.startsWith('Invalid credentials')) {
    return new AppError(
      'HUB_ACCESS_DENIED',
      `${endpoint} does not accept the token that is set (${words})`,
      'Set HF_TOKEN to a valid token, or unset it for public models.',
    )
  }
  if (code === 'RepoNotFound' || status === 401 || status === 404) {
    return new AppError(
      'NOT_FOUND',
      `${endpoint} shows no model ${repo}: it does not exist, or it is private (${words})`,
      `Check the spelling of ORG/NAME. For a private model: ${login}`,
    )
  }
  if (status === 403) {
    return new AppError('HUB_ACCESS_DENIED', `${endpoint} refuses access to ${repo} (${words})`, login)
  }
  if (status === 429) {
    return new AppError(
      'HUB_RATE_LIMITED',
      `${endpoint} limits the rate of requests (${words})`,
      token === null ? 'Try again later, or set HF_TOKEN: accounts have higher limits.' : 'Try again later.',
    )
  }
  return new AppError('HUB_UNAVAILABLE', `${endpoint} failed to serve ${repo} (${words})`, 'Try again later.')
}

/** A request that got no answer, or whose answer broke off. */
export function unreachable(endpoint: string, { repo }: HubModel, cause: unknown): AppError {
  return new AppError(
    'HUB_UNAVAILABLE',
    `${endpoint} could not be asked for ${repo}: ${reasonOf(cause)}`,
    'Check the network and HF_ENDPOINT. What has been downloaded is kept: the same command goes on from there. HF_HUB_OFFLINE=1 takes what the cache has.',
    cause,
  )
}

/** undici says "fetch failed" and keeps the reason one or two causes down. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if (error.cause instanceof Error) return reasonOf(error.cause)
  if ('code' in error && typeof error.code === 'string')
    return error.message.includes(error.code) ? error.message : error.code
  return error.message
}

function fileOf(url: string): string {
  const [, file = 'such file'] = /\/resolve\/[^/]+\/(.+)$/.exec(URL.canParse(url) ? new URL(url).pathname : '') ?? []
  return file
}

function withoutToken(text: string | null, token: string | null): string | null {
  return text === null || token === null ? text : text.replaceAll(token, '[token]')
}
