import { once } from 'node:events'
import { createServer, get } from 'node:http'
import express from 'express'
import { expect, it } from 'vitest'
import { sendFile } from '../../../src/api/files/send-file.ts'
import { createLogger } from '../../../src/log.ts'

it('holds a client that takes nothing for five minutes to have gone, and makes no more for it', async () => {
  let waited: number | undefined
  let ended = false
  async function* endless() {
    try {
      for (;;) yield new Uint8Array(2 ** 20)
    } finally {
      ended = true
    }
  }
  const app = express()
  app.get('/', async (request, response) => {
    const { setTimeout } = response
    response.setTimeout = (ms, callback) => {
      waited = ms
      return setTimeout.call(response, 50, callback) // the test does not wait so long
    }
    await sendFile(request, response, { type: 'x/y', body: endless() }, null, createLogger('api', 'silent'))
  })
  const server = createServer(app).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server has no port')
  const asked = get({ host: '127.0.0.1', port: address.port })
  const [answer] = await once(asked, 'response')
  asked.on('error', () => undefined)
  answer.on('error', () => undefined)
  answer.pause()
  await expect.poll(() => ended, { timeout: 10_000 }).toBe(true)
  expect(waited).toBe(300_000)
  asked.destroy()
  server.close()
})
