import { createServer } from 'node:net'
import pg from 'pg'
import { describe, expect, it } from 'vitest'
import { requestLimits } from '../../../src/api/limits.ts'
import { startApi } from '../../../src/api/main.ts'
import { readConfig } from '../../../src/config.ts'
import { createTestDatabase } from '../../support/test-database.ts'
import { codeOf, startTestApi } from './api-under-test.ts'
import { codesOf, rawPost, rawRequest } from './raw-http.ts'

const url = await createTestDatabase()
const api = await startTestApi(url, { KVSCOPE_ALLOWED_HOSTS: 'kv.example' })
const health = JSON.stringify({ query: '{ health { database } }' })

describe('a request', () => {
  it('may name loopback and the allowed hosts, and no other', async () => {
    for (const host of ['localhost:1', '127.0.0.1', '[::1]', 'kv.example', 'KV.example:443']) {
      expect((await rawPost(api.port, health, { host })).status, host).toBe(200)
    }
    for (const path of ['/graphql', '/healthz', '/readyz', '/', '/nothing']) {
      const answer = await rawRequest(api.port, { path, headers: { host: 'rebound.example' } })
      expect([answer.status, codesOf(answer)], path).toEqual([403, ['FORBIDDEN']])
    }
  })

  it("may not come from another site's page", async () => {
    for (const origin of ['http://evil.example', 'null', `http://127.0.0.1:${api.port + 1}`]) {
      const answer = await rawPost(api.port, health, { origin, host: `127.0.0.1:${api.port}` })
      expect([answer.status, codesOf(answer)], origin).toEqual([403, ['FORBIDDEN']])
    }
    const own = { origin: api.address, host: `127.0.0.1:${api.port}` }
    expect((await rawPost(api.port, health, own)).status).toBe(200)
  })

  it('must be one that a form on another site cannot send', async () => {
    const form = { 'content-type': 'text/plain' }
    expect((await rawPost(api.port, health, form)).status).toBe(400)
    const get = await rawRequest(api.port, { path: `/graphql?query=${encodeURIComponent('{ health { database } }')}` })
    expect([get.status, codesOf(get)]).toEqual([400, ['VALIDATION_FAILED']])
    const headers = { 'apollo-require-preflight': 'yes' }
    const asked = await rawRequest(api.port, { path: '/graphql?query=%7B__typename%7D', headers })
    expect(asked.status).toBe(200)
  })

  it('may not change anything by GET', async () => {
    const query = encodeURIComponent('mutation { deleteRun(id: "x") { deletedId } }')
    const headers = { 'apollo-require-preflight': 'yes' }
    const answer = await rawRequest(api.port, { path: `/graphql?query=${query}`, headers })
    expect([answer.status, codesOf(answer)]).toEqual([405, ['VALIDATION_FAILED']])
  })

  it('may not be longer than the limit', async () => {
    const body = JSON.stringify({ query: '{ __typename }', variables: { long: 'x'.repeat(requestLimits.bodyBytes) } })
    const answer = await rawPost(api.port, body)
    expect([answer.status, codesOf(answer)]).toEqual([413, ['LIMIT_EXCEEDED']])
  })

  it('holds one operation, not a batch', async () => {
    const answer = await rawPost(api.port, `[${health}, ${health}]`)
    expect([answer.status, codesOf(answer)]).toEqual([400, ['VALIDATION_FAILED']])
  })

  it('must be JSON', async () => {
    const answer = await rawPost(api.port, '{ "query": ')
    expect([answer.status, codesOf(answer)]).toEqual([400, ['VALIDATION_FAILED']])
  })

  it.each([
    ['cost', '{ runs(first: 100) { nodes { ... on BenchmarkRun { series { summary { interval { low high } } } } } } }'],
    [
      'cost',
      'query ($n: Int = 100) { runs(first: $n) { nodes { ... on BenchmarkRun { series { summary { interval { low } } } } } } }',
    ],
    ['cost', '{ runs(first: 100) { nodes { events { seq at } } } }'],
    ['levels', `{ __type(name: "Run") { ${'ofType { '.repeat(30)} name ${'}'.repeat(30)} } }`],
    ['aliases', `{ health { ${Array.from({ length: 31 }, (_, index) => `a${index}: ok`).join(' ')} } }`],
    ['fields at the root', `{ ${Array.from({ length: 21 }, (_, index) => `a${index}: health { ok }`).join(' ')} }`],
  ])('that asks for too much is refused, saying of what: %s', async (what, query) => {
    const answer = await api.request(query)
    expect(codeOf(answer)).toBe('LIMIT_EXCEEDED')
    expect(answer.errors?.[0]?.message).toContain(what)
    expect(answer.errors?.[0]?.extensions.hint).toBeTruthy()
    expect(answer.status).toBe(400)
  })

  it('with more tokens than allowed is not even parsed', async () => {
    expect(codeOf(await api.request(`{ ${'__typename '.repeat(requestLimits.tokens)} }`))).toBe('VALIDATION_FAILED')
  })

  it('that does not fit the schema is VALIDATION_FAILED, in every way that it may not fit', async () => {
    const asked: [string, object][] = [
      ['{ health { ', {}],
      ['{ nothing }', {}],
      ['query ($id: ID!) { run(id: $id) { id } }', {}],
      ['query ($first: Int) { runs(first: $first) { totalCount } }', { first: 'ten' }],
      ['query ($s: ModelSourceInput!) { model(source: $s) { name } }', { s: {} }],
      ['query ($s: ModelSourceInput!) { model(source: $s) { name } }', { s: { config: {}, local: { path: 'x' } } }],
      ['query ($f: RunFilter) { runs(filter: $f) { totalCount } }', { f: { queuedAfter: 'yesterday' } }],
      ['query A { __typename } query B { __typename }', {}],
    ]
    for (const [query, variables] of asked)
      expect(codeOf(await api.request(query, variables)), query).toBe('VALIDATION_FAILED')
  })

  it('may not be a subscription', async () => {
    const answer = await api.request('subscription { runEvents(runId: "x") { seq } }')
    expect([answer.status, codeOf(answer)]).toEqual([200, 'VALIDATION_FAILED'])
    expect(answer.errors?.[0]?.extensions.hint).toContain('WebSocket')
  })

  it('has the status that GraphQL over HTTP wants, by what it accepts', async () => {
    const accept = { accept: 'application/graphql-response+json' }
    expect((await api.request('{ nothing }')).status).toBe(200)
    expect((await api.request('{ nothing }', {}, accept)).status).toBe(400)
    expect((await api.request('{ health { ok } }', {}, accept)).status).toBe(200)
  })

  it('may ask what the schema is', async () => {
    expect((await api.request('{ __schema { queryType { name } } }')).data).toEqual({
      __schema: { queryType: { name: 'Query' } },
    })
  })
})

describe('an answer', () => {
  it('carries the headers that keep a browser from misusing it', async () => {
    for (const path of ['/healthz', '/graphql', '/nothing']) {
      const { headers } = await rawRequest(api.port, { path })
      expect(headers['content-security-policy'], path).toContain("default-src 'none'")
      expect(headers['x-content-type-options'], path).toBe('nosniff')
      expect(headers['x-frame-options'], path).toBe('DENY')
      expect(headers['x-powered-by'], path).toBeUndefined()
      expect(headers['access-control-allow-origin'], path).toBeUndefined()
    }
  })

  it('is NOT_FOUND where nothing is served', async () => {
    const answer = await rawRequest(api.port, { path: '/nothing' })
    expect([answer.status, codesOf(answer)]).toEqual([404, ['NOT_FOUND']])
  })
})

describe('health', () => {
  it('is fine of the process alone at /healthz', async () => {
    expect((await rawRequest(api.port, { path: '/healthz' })).status).toBe(200)
  })

  it('names what is missing at /readyz', async () => {
    const answer = await rawRequest(api.port, { path: '/readyz' })
    expect(answer.status).toBe(503)
    expect(JSON.parse(answer.body.toString())).toEqual({ ready: false, missing: ['worker'] })
  })
})

describe('without its database', async () => {
  const lost = await createTestDatabase()
  const stranded = await startTestApi(lost)

  it('the API lives, is not ready, and says that the database is missing', async () => {
    const admin = new URL(lost)
    const name = admin.pathname.slice(1)
    admin.pathname = '/postgres'
    const client = new pg.Client({ connectionString: admin.href })
    await client.connect()
    await client.query(`DROP DATABASE ${name} WITH (FORCE)`)
    await client.end()
    const answer = await rawRequest(stranded.port, { path: '/readyz' })
    expect(answer.status).toBe(503)
    expect(JSON.parse(answer.body.toString()).missing).toContain('database')
    expect((await rawRequest(stranded.port, { path: '/healthz' })).status).toBe(200)
    const health = await stranded.request('{ health { ok database queueReachable liveWorkers } }')
    expect(health.data).toEqual({ health: { ok: false, database: false, queueReachable: false, liveWorkers: 0 } })
  })
})

describe('an unexpected error', () => {
  it('is masked, and names the id under which it was logged', async () => {
    const own = await createTestDatabase()
    const broken = await startTestApi(own)
    const client = new pg.Client({ connectionString: own })
    await client.connect()
    await client.query('ALTER TABLE "Run" RENAME TO "Elsewhere"')
    await client.end()
    const answer = await broken.request('{ runs { nodes { id } } }')
    expect(codeOf(answer)).toBe('INTERNAL')
    expect(answer.errors?.[0]?.message).toMatch(/\([0-9a-f-]{36}\)$/)
    expect(JSON.stringify(answer)).not.toMatch(/Elsewhere|prisma|relation|select/i)
  })
})

describe('starting', () => {
  it('on a port that is taken is PORT_IN_USE, naming it and what to do', async () => {
    const holder = createServer()
    await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve))
    const address = holder.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    const config = readConfig({ PORT: String(port), KVSCOPE_LOG_LEVEL: 'silent' })
    await expect(startApi(config, url)).rejects.toMatchObject({
      code: 'PORT_IN_USE',
      message: expect.stringContaining(String(port)),
      hint: expect.stringContaining('PORT'),
    })
    holder.close()
  })

  it('open to the network without tokens is refused', async () => {
    const config = readConfig({ PORT: '0', KVSCOPE_HOST: '0.0.0.0', KVSCOPE_LOG_LEVEL: 'silent' })
    await expect(startApi(config, url)).rejects.toMatchObject({
      code: 'FORBIDDEN',
      hint: expect.stringContaining('KVSCOPE_TOKENS'),
    })
  })
})
