import { createServer, type IncomingMessage } from 'node:http'
import { afterAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { createApiClient } from '../../../src/cli/client.ts'
import { submitAndFollow } from '../../../src/cli/submit-run.ts'
import { createTestDatabase } from '../../support/test-database.ts'
import { at, startTestApi } from '../api/api-under-test.ts'

vi.setConfig({ testTimeout: 120_000 })

const secret = 'only-ann-knows-this'
const api = await startTestApi(await createTestDatabase(), { KVSCOPE_TOKENS: `ann:${secret}` })
const input = { subjects: [{ source: { synthetic: { preset: 'gpt2' } } }], tests: [{ promptTokens: 16 }] }
const asked = { kind: 'BENCHMARK', input } as const

/** Where the first request to the proxy is interrupted: on its way to the API, or when the API has answered. */
let moment: 'sent' | 'answered' = 'sent'
let abort = new AbortController()
let requests = 0
beforeEach(() => {
  abort = new AbortController()
  requests = 0
})

/** Before the API: takes the first request, and aborts the client in place of an answer. */
const proxy = createServer(async (request, response) => {
  const first = ++requests === 1
  const body = await read(request)
  if (first && moment === 'sent') return abort.abort(new Error('Ctrl-C'))
  const { authorization = '' } = request.headers
  const headers = { 'content-type': 'application/json', authorization }
  const answer = await fetch(`${api.address}/graphql`, { method: 'POST', headers, body })
  const text = await answer.text()
  if (first) return abort.abort(new Error('Ctrl-C'))
  response.writeHead(answer.status, { 'content-type': 'application/json' }).end(text)
})
await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
const bound = proxy.address()
const proxyAddress = `http://127.0.0.1:${typeof bound === 'object' ? bound?.port : ''}`
afterAll(() => new Promise((resolve) => proxy.close(resolve)))

async function read(request: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of request.setEncoding('utf8')) text += chunk
  return text
}

async function statuses(): Promise<unknown> {
  const authorization = `Bearer ${secret}`
  return at(await api.request('{ runs(first: 100) { nodes { status } } }', {}, { authorization }), 'runs.nodes')
}

function submit(address: string, onEvent = () => {}): Promise<string> {
  const { signal } = abort
  // A machine full of tests may take longer than anybody would wait after Ctrl-C.
  const submitter = { secret, signal, cancelMs: 60_000 }
  return submitAndFollow(createApiClient(address, { secret, signal }), asked, submitter, onEvent)
}

describe('a run whose submitter is interrupted', () => {
  const cancelled: { status: string }[] = []

  it.each(['sent', 'answered'] as const)('is cancelled when it was %s and nothing heard of it', async (when) => {
    moment = when
    await expect(submit(proxyAddress)).rejects.toThrow(/Ctrl-C|abort/)
    cancelled.push({ status: 'CANCELED' })
    // One run for both submissions.
    expect(await statuses()).toEqual(cancelled)
    expect(requests).toBe(3)
  })

  it('is cancelled while it is followed, by a client that knows the token', async () => {
    await expect(submit(api.address, () => abort.abort(new Error('Ctrl-C')))).rejects.toThrow(/Ctrl-C|abort/)
    cancelled.push({ status: 'CANCELED' })
    expect(await statuses()).toEqual(cancelled)
  })

  it('is none at all when it had not been sent', async () => {
    abort.abort(new Error('Ctrl-C'))
    await expect(submit(proxyAddress)).rejects.toThrow('Ctrl-C')
    expect(await statuses()).toEqual(cancelled)
  })
})
