import { setMaxListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { AppError, type ErrorCode, errorTable } from '../errors.ts'
import { RunEventsDocument, type RunEventsSubscription } from '../generated/operations.ts'

/** A generated operation: its text, and by its phantom type what it takes and gives. */
interface TypedDocument<R, V> {
  toString(): string
  __apiType?: (variables: V) => R
}

export type RunEvent = RunEventsSubscription['runEvents']

/** A client of one kvscope server. */
export interface ApiClient {
  /** Address of the server, such as http://127.0.0.1:4000. */
  readonly address: string
  /** @throws AppError with the server's code; INTERNAL where the server cannot be reached or answers out of turn */
  request<R, V>(document: TypedDocument<R, V>, variables: V): Promise<R>
  /**
   * Every event of a run, once and in order, until the one that ends it. A lost connection is taken up again after the
   * last event seen. `after`: the last event already seen.
   * @throws AppError where the server refuses, or stays away for `patienceMs`
   */
  follow(runId: string, after?: number): AsyncGenerator<RunEvent, void>
  /**
   * What the server hands out at a path, such as a picture or an array of a run.
   * @throws AppError as `request` does
   */
  file(path: string): Promise<Uint8Array>
  /**
   * The same in pieces, for what may not fit into memory.
   * @throws AppError as `request` does; INTERNAL from the pieces where they end before the file does
   */
  stream(path: string): Promise<AsyncIterable<Uint8Array>>
}

interface GraphqlAnswer<R> {
  data?: R | null
  errors?: readonly { message: string; extensions?: Record<string, unknown> }[]
}

function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(errorTable, code)
}

function unwrap<R>(answer: GraphqlAnswer<R>): R {
  const first = answer.errors?.[0]
  if (first !== undefined) throw toAppError(first)
  if (answer.data === null || answer.data === undefined)
    throw new AppError('INTERNAL', 'The server answered without data')
  return answer.data
}

function readAnswer<R>({ status, body }: { status: number; body: Uint8Array }, address: string): GraphqlAnswer<R> {
  try {
    return JSON.parse(new TextDecoder().decode(body))
  } catch (cause) {
    throw new AppError('INTERNAL', `${address} answered ${status} with something other than JSON`, null, cause)
  }
}

function toAppError(error: { message: string; extensions?: Record<string, unknown> }): AppError {
  const code = error.extensions?.code
  const hint = error.extensions?.hint
  return new AppError(isErrorCode(code) ? code : 'INTERNAL', error.message, typeof hint === 'string' ? hint : null)
}

/** What graphql-ws throws: a list of GraphQL errors where the server refused, else a close event or a socket's error. */
function refusal(error: unknown): AppError | null {
  const first: unknown = Array.isArray(error) ? error[0] : null
  if (typeof first === 'object' && first !== null && 'message' in first) {
    const extensions = 'extensions' in first && typeof first.extensions === 'object' ? first.extensions : null
    return toAppError({ message: String(first.message), extensions: { ...extensions } })
  }
  if (typeof error === 'object' && error !== null && 'code' in error && (error.code === 4401 || error.code === 4403)) {
    return new AppError(
      'UNAUTHENTICATED',
      'The server refused the connection',
      'Set KVSCOPE_TOKENS to the token that it knows.',
    )
  }
  return null
}

interface PlainRequest {
  method?: string
  headers?: Record<string, string>
  body?: string
}

const finalStatuses: readonly string[] = ['SUCCEEDED', 'FAILED', 'CANCELED']

/**
 * @param secret the bearer token, where the server asks for one
 * @param signal ends every request and subscription
 * @param retryMs how long a request is repeated while nothing listens; only for requests that may be sent twice
 * @param patienceMs how long a subscription is taken up again while nothing answers
 */
export function createApiClient(
  address: string,
  options: { secret?: string | undefined; signal: AbortSignal; retryMs?: number; patienceMs?: number },
): ApiClient {
  const { secret, signal, retryMs = 0, patienceMs = 60_000 } = options
  const endpoint = new URL('/graphql', address)
  // Every request under way listens to the one signal; so many are no leak.
  setMaxListeners(0, signal)

  const authorization = secret === undefined ? {} : { authorization: `Bearer ${secret}` }

  async function send(url: URL, init: PlainRequest): Promise<{ status: number; body: Uint8Array }> {
    const giveUp = Date.now() + retryMs
    for (;;) {
      try {
        const response = await fetch(url, { ...init, signal, headers: { ...init.headers, ...authorization } })
        return { status: response.status, body: new Uint8Array(await response.arrayBuffer()) }
      } catch (cause) {
        signal.throwIfAborted()
        if (Date.now() >= giveUp) {
          const hint = 'Is the server running? Start one with: kvscope serve'
          throw new AppError('INTERNAL', `No answer from ${address}`, hint, cause)
        }
      }
      await sleep(250, undefined, { signal })
    }
  }

  async function request<R, V>(document: TypedDocument<R, V>, variables: V): Promise<R> {
    const headers = {
      'content-type': 'application/json',
      accept: 'application/graphql-response+json, application/json',
    }
    const body = JSON.stringify({ query: document.toString(), variables })
    return unwrap(readAnswer<R>(await send(endpoint, { method: 'POST', headers, body }), address))
  }

  async function file(path: string): Promise<Uint8Array> {
    const answer = await send(new URL(path, address), {})
    if (answer.status === 200) return answer.body
    return unwrap(readAnswer<never>(answer, address))
  }

  async function stream(path: string): Promise<AsyncIterable<Uint8Array>> {
    const response = await fetch(new URL(path, address), { signal, headers: authorization }).catch((cause: unknown) => {
      signal.throwIfAborted()
      throw new AppError('INTERNAL', `No answer from ${address}`, 'Is the server running?', cause)
    })
    const { status, body } = response
    if (status !== 200 || body === null) {
      return unwrap(readAnswer<never>({ status, body: new Uint8Array(await response.arrayBuffer()) }, address))
    }
    return piecesOf(body)
  }

  async function* piecesOf(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
    const reader = body.getReader()
    try {
      for (;;) {
        const { done, value } = await reader.read()
        if (done) return
        yield value
      }
    } catch (cause) {
      signal.throwIfAborted()
      throw new AppError('INTERNAL', `${address} stopped in the middle of the file`, "See the server's log.", cause)
    } finally {
      await reader.cancel().catch(() => undefined)
    }
  }

  async function* subscribe(runId: string, after: number): AsyncGenerator<RunEvent, void> {
    // Most commands follow nothing.
    const [{ createClient }, { WebSocket }] = await Promise.all([import('graphql-ws'), import('ws')])
    const socket = createClient({
      url: endpoint.href.replace(/^http/, 'ws'),
      webSocketImpl: WebSocket,
      // The library's own retry repeats the same `after`, and so repeats events: follow() resumes instead.
      retryAttempts: 0,
      ...(secret === undefined ? {} : { connectionParams: authorization }),
    })
    const stop = () => socket.terminate()
    signal.addEventListener('abort', stop, { once: true })
    try {
      const query = RunEventsDocument.toString()
      for await (const answer of socket.iterate<RunEventsSubscription>({ query, variables: { runId, after } })) {
        yield unwrap({ data: answer.data ?? null, ...(answer.errors ? { errors: [...answer.errors] } : {}) }).runEvents
      }
    } finally {
      signal.removeEventListener('abort', stop)
      await socket.dispose()
    }
  }

  async function* follow(runId: string, after = 0): AsyncGenerator<RunEvent, void> {
    let seen = after
    let lastHeard = Date.now()
    let silentEnds = 0
    for (let wait = 100; ; wait = Math.min(2 * wait, 2000)) {
      signal.throwIfAborted()
      try {
        for await (const event of subscribe(runId, seen)) {
          seen = event.seq
          lastHeard = Date.now()
          wait = 100
          silentEnds = 0
          yield event
          if (event.status !== null && finalStatuses.includes(event.status)) return
        }
        // Ended in order but without a last event: the run had ended by `seen`, or the server was told to stop.
        silentEnds += 1
        if (silentEnds >= 3) return
      } catch (error) {
        signal.throwIfAborted()
        const refused = error instanceof AppError ? error : refusal(error)
        // INTERNAL is what a server says whose database is being brought back.
        if (refused !== null && refused.code !== 'INTERNAL') throw refused
        if (Date.now() - lastHeard > patienceMs) {
          throw new AppError('INTERNAL', `The server at ${address} stopped answering`, 'See its log.', error)
        }
      }
      await sleep(wait, undefined, { signal })
    }
  }

  return { address, request, follow, file, stream }
}
