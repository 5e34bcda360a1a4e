import { createServer, type Server } from 'node:http'
import { afterEach, describe, expect, it } from 'vitest'
import { type WebSocket, WebSocketServer } from 'ws'
import { createApiClient } from '../../../src/cli/client.ts'

interface Message {
  id: string
  type: string
  payload: { variables: { after: number } }
}

const servers: { http: Server; sockets: WebSocketServer }[] = []

/** A server of graphql-transport-ws that answers a subscription as `answer` says, from the event after `after` on. */
async function serve(
  answer: (after: number, send: (seq: number, status?: string) => void, socket: WebSocket, id: string) => void,
) {
  const http = createServer((_request, response) => response.writeHead(502).end('<html>'))
  const sockets = new WebSocketServer({ server: http, path: '/graphql' })
  servers.push({ http, sockets })
  sockets.on('connection', (socket) => {
    socket.on('message', (data) => {
      const { id, type, payload }: Message = JSON.parse(String(data))
      if (type === 'connection_init') socket.send(JSON.stringify({ type: 'connection_ack' }))
      if (type !== 'subscribe') return
      const send = (seq: number, status: string | null = null) => {
        const runEvents = { seq, at: '2026-11-24T08:00:00.000Z', attempt: 1, status, fraction: null, message: null }
        socket.send(JSON.stringify({ id, type: 'next', payload: { data: { runEvents } } }))
      }
      answer(payload.variables.after, send, socket, id)
    })
  })
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  const address = http.address()
  return `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
}

afterEach(async () => {
  for (const { http, sockets } of servers.splice(0)) {
    for (const socket of sockets.clients) socket.terminate()
    sockets.close()
    await new Promise((resolve) => http.close(resolve))
  }
})

async function seqs(address: string, after = 0, signal = new AbortController().signal): Promise<number[]> {
  const found: number[] = []
  for await (const { seq } of createApiClient(address, { signal, patienceMs: 2_000 }).follow('run', after))
    found.push(seq)
  return found
}

describe('following a run', () => {
  it('takes a lost connection up after the last event seen, so that none comes twice or not at all', async () => {
    const asked: number[] = []
    const address = await serve((after, send, socket) => {
      asked.push(after)
      for (const seq of [after + 1, after + 2]) send(seq, seq === 7 ? 'SUCCEEDED' : undefined)
      setTimeout(() => socket.terminate(), 20)
    })
    expect(await seqs(address)).toEqual([1, 2, 3, 4, 5, 6, 7])
    expect(asked).toEqual([0, 2, 4, 6])
  })

  it('ends with the event that ends the run, though the server keeps the connection', async () => {
    const address = await serve((after, send) => send(after + 1, 'CANCELED'))
    expect(await seqs(address, 41)).toEqual([42])
  })

  it('asks again where the server ends the stream in order before the run has ended', async () => {
    const address = await serve((after, send, socket, id) => {
      send(after + 1, after === 1 ? 'FAILED' : undefined)
      socket.send(JSON.stringify({ id, type: 'complete' }))
    })
    expect(await seqs(address)).toEqual([1, 2])
  })

  it('gives the code of a refusal at once', async () => {
    const address = await serve((_after, _send, socket, id) => {
      const errors = [{ message: 'no run has that id', extensions: { code: 'NOT_FOUND', hint: 'List them.' } }]
      socket.send(JSON.stringify({ id, type: 'error', payload: errors }))
    })
    await expect(seqs(address)).rejects.toMatchObject({ code: 'NOT_FOUND', hint: 'List them.' })
  })

  it('gives up on a server that stays away, and at once when it is told to', async () => {
    const address = await serve((_after, _send, socket) => socket.terminate())
    await expect(seqs(address)).rejects.toMatchObject({ code: 'INTERNAL' })
    const abort = new AbortController()
    const following = seqs(address, 0, abort.signal)
    setTimeout(() => abort.abort(new Error('Ctrl-C')), 50)
    await expect(following).rejects.toThrow(/Ctrl-C|abort/)
  })

  it('tells an answer that is no GraphQL from one that is', async () => {
    const address = await serve(() => {})
    const { signal } = new AbortController()
    await expect(createApiClient(address, { signal }).request('{ health { ok } }', {})).rejects.toMatchObject({
      code: 'INTERNAL',
      message: `${address} answered 502 with something other than JSON`,
    })
  })
})
