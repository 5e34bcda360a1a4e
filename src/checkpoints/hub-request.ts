import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { HubSettings } from '../config.ts'
import { AppError } from '../errors.ts'
import type { HubModel } from './hub-names.ts'
import { refusalOf, unreachable } from './hub-refusal.ts'

/** How long a hub is waited for. */
export interface HubPatience {
  /** requests for one answer, the first included */
  attempts: number
  /** before the second attempt; twice that before the third, and so on */
  firstWaitMs: number
  /** the longest Retry-After that is waited out */
  longestWaitMs: number
  /** silence after which a connection counts as broken */
  stallMs: number
}

const defaultPatience: HubPatience = { attempts: 5, firstWaitMs: 500, longestWaitMs: 120_000, stallMs: 30_000 }

/** A hub as it is asked for things. */
export interface Hub {
  readonly settings: HubSettings
  readonly patience: HubPatience
  readonly signal: AbortSignal | null
}

/**
 * A hub with the token that is set, or that Python's `hf auth login` left.
 * @param signal ends every request
 */
export async function connectHub(
  settings: HubSettings,
  signal: AbortSignal | null = null,
  patience: Partial<HubPatience> = {},
): Promise<Hub> {
  const token = settings.token ?? ((await readFile(settings.tokenFile, 'utf8').catch(() => '')).trim() || null)
  return { settings: { ...settings, token }, patience: { ...defaultPatience, ...patience }, signal }
}

/** A request: its address, and what fetch takes of it. */
export interface HubRequest {
  address: string
  /** what is asked for, as errors name it */
  about: HubModel
  init?: { method?: string; headers?: HeadersInit; body?: BodyInit | null }
}

/**
 * Asks a hub until `attempt` has what it wants: broken connections, 408, 429 and 5xx are tried again after a while, and so
 * is what `attempt` throws that is no AppError. The token goes to the endpoint's own origin only: fetch drops the header
 * where a redirect leaves it.
 * @param attempt is given what asks once; an answer that is no success ends the attempt
 * @throws AppError NOT_FOUND, HUB_ACCESS_DENIED, HUB_RATE_LIMITED, HUB_UNAVAILABLE, or what `attempt` throws
 */
export async function retrying<T>(
  hub: Hub,
  about: HubModel,
  attempt: (ask: (asked: HubRequest) => Promise<Response>) => Promise<T>,
): Promise<T> {
  const { patience, settings, signal } = hub
  checkOnline(hub, about)
  for (let count = 1; ; count += 1) {
    try {
      return await attempt((asked) => ask(hub, asked))
    } catch (error) {
      if (error instanceof AppError) throw error
      signal?.throwIfAborted()
      const busy = error instanceof Busy ? error : null
      const tooLong = (busy?.waitMs ?? 0) > patience.longestWaitMs
      if (count >= patience.attempts || tooLong) throw busy?.refusal ?? unreachable(settings.endpoint, about, error)
      const waitMs = busy?.waitMs ?? patience.firstWaitMs * 2 ** (count - 1)
      await sleep(waitMs, undefined, signal === null ? {} : { signal })
    }
  }
}

/**
 * An answer read whole: what breaks off is tried again too.
 * @throws AppError as retrying; CHECKPOINT_INVALID where it is longer than `maxBytes`
 */
export async function requestWhole(
  hub: Hub,
  asked: HubRequest,
  maxBytes: number,
): Promise<{ bytes: Buffer<ArrayBuffer>; response: Response }> {
  return retrying(hub, asked.about, async (ask) => {
    const response = await ask(asked)
    return { bytes: await readBody(hub, response, maxBytes), response }
  })
}

/** `fetch` for the functions of the hub's own client. */
export function fetchOf(hub: Hub, about: HubModel): typeof fetch {
  return async (input, { method, headers, body } = {}) => {
    const init = { ...(method && { method }), ...(headers && { headers }), body: body ?? null }
    const address = input instanceof Request ? input.url : String(input)
    const { bytes, response } = await requestWhole(hub, { address, about, init }, maxListingBytes)
    return new Response(bytes, { status: response.status, headers: response.headers })
  }
}

/** A thousand files of a repository's list take about 300 kB. */
const maxListingBytes = 64_000_000

/** @throws AppError HUB_UNAVAILABLE under HF_HUB_OFFLINE */
export function checkOnline({ settings }: Hub, { repo, revision }: HubModel): void {
  if (!settings.offline) return
  throw new AppError(
    'HUB_UNAVAILABLE',
    `${repo} at ${revision} is not in ${settings.cacheDir} whole, and HF_HUB_OFFLINE forbids asking the hub`,
    'Unset HF_HUB_OFFLINE, or fetch the model where there is a network.',
  )
}

/**
 * The chunks of an answer's body as they come; leaving the loop early gives the connection up.
 * @throws where it breaks off, or nothing comes for as long as the hub is waited for
 */
export async function* readChunks({ patience, signal }: Hub, { body }: Response): AsyncGenerator<Uint8Array> {
  if (body === null) return
  const reader = body.getReader()
  try {
    for (;;) {
      signal?.throwIfAborted()
      const { done, value } = await within(patience.stallMs, reader.read())
      if (done) return
      yield value
    }
  } finally {
    // What was read to its end has nothing to cancel; what broke cannot be.
    reader.cancel().catch(() => undefined)
  }
}

async function readBody(hub: Hub, response: Response, maxBytes: number): Promise<Buffer<ArrayBuffer>> {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of readChunks(hub, response)) {
    length += chunk.length
    if (length > maxBytes) {
      throw new AppError(
        'CHECKPOINT_INVALID',
        `${response.url} is longer than the ${maxBytes} bytes that are read of it`,
      )
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** One attempt. An answer that is no success is thrown: as AppError, or as Busy where it may be another next time. */
async function ask({ settings, patience, signal }: Hub, { address, about, init = {} }: HubRequest): Promise<Response> {
  const headers = new Headers(init.headers)
  headers.set('user-agent', 'kvscope')
  if (settings.token !== null && new URL(address).origin === new URL(settings.endpoint).origin) {
    headers.set('authorization', `Bearer ${settings.token}`)
  }
  const silence = new AbortController()
  const signals = signal === null ? [silence.signal] : [silence.signal, signal]
  const timer = setTimeout(() => silence.abort(tooSilent(patience.stallMs)), patience.stallMs)
  try {
    const response = await fetch(address, { ...init, headers, signal: AbortSignal.any(signals) })
    if (response.ok) return response
    await response.body?.cancel()
    const refusal = refusalOf(response, about, settings)
    const { status } = response
    if (status === 408 || status === 429 || status >= 500) throw new Busy(refusal, waitAsked(response.headers))
    throw refusal
  } finally {
    clearTimeout(timer)
  }
}

class Busy extends Error {
  readonly refusal: AppError
  readonly waitMs: number | null

  constructor(refusal: AppError, waitMs: number | null) {
    super(refusal.message)
    this.refusal = refusal
    this.waitMs = waitMs
  }
}

const tooSilent = (ms: number) => new Error(`nothing came for ${ms / 1000} s`)

async function within<T>(ms: number, coming: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const silence = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(tooSilent(ms)), ms)
  })
  try {
    return await Promise.race([coming, silence])
  } finally {
    clearTimeout(timer)
  }
}

/** Milliseconds of Retry-After (RFC 9110, 10.2.3), or until the rate limit's window ends (`ratelimit: "api";r=0;t=55`). */
function waitAsked(headers: Headers): number | null {
  const after = headers.get('retry-after')
  if (after !== null && /^\d+$/.test(after)) return Number(after) * 1000
  const date = after === null ? Number.NaN : Date.parse(after)
  if (!Number.isNaN(date)) return Math.max(0, date - Date.now())
  const [, seconds] = /;\s*r\s*=\s*0\s*;\s*t\s*=\s*(\d+)/.exec(headers.get('ratelimit') ?? '') ?? []
  return seconds === undefined ? null : Number(seconds) * 1000
}
