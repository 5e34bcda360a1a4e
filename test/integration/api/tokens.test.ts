import { describe, expect, it } from 'vitest'
import { createTestDatabase } from '../../support/test-database.ts'
import { codeOf, startTestApi } from './api-under-test.ts'
import { rawRequest } from './raw-http.ts'

const secret = 'only-ann-knows-this'
const url = await createTestDatabase()
const api = await startTestApi(url, { KVSCOPE_HOST: '0.0.0.0', KVSCOPE_TOKENS: `ann:${secret},bob:${secret}-too` })
const address = `http://127.0.0.1:${api.port}`

async function post(headers: Record<string, string>) {
  const response = await fetch(`${address}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: '{"query":"{ health { database } }"}',
  })
  const { data, errors } = await response.json()
  return { status: response.status, headers: response.headers, data, errors }
}

describe('where tokens are configured', () => {
  it('a request without one is UNAUTHENTICATED, also on loopback', async () => {
    const answer = await post({})
    expect(codeOf(answer)).toBe('UNAUTHENTICATED')
    expect(answer.status).toBe(401)
    expect(answer.headers.get('www-authenticate')).toContain('Bearer')
  })

  it.each(['Bearer wrong', `Basic ${secret}`, secret, `Bearer ${secret}x`])(
    '%s is UNAUTHENTICATED',
    async (authorization) => {
      expect(codeOf(await post({ authorization }))).toBe('UNAUTHENTICATED')
    },
  )

  it('a request with one of them is answered', async () => {
    for (const known of [secret, `${secret}-too`]) {
      expect((await post({ authorization: `Bearer ${known}` })).data).toEqual({ health: { database: true } })
    }
  })

  it('health needs none', async () => {
    expect((await rawRequest(api.port, { path: '/healthz' })).status).toBe(200)
    expect((await rawRequest(api.port, { path: '/readyz' })).status).toBe(503)
  })

  it('the host that is bound to is no name that a browser could be sent to unless allowed', async () => {
    const answer = await rawRequest(api.port, { path: '/healthz', headers: { host: '10.1.2.3' } })
    expect(answer.status).toBe(403)
  })
})
