import { createHash } from 'node:crypto'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { readExamples } from '../../../src/api/examples.ts'
import { connectDatabase } from '../../../src/db/client.ts'
import { createTestDatabase } from '../../support/test-database.ts'
import { startTestApi } from './api-under-test.ts'
import { rawRequest } from './raw-http.ts'
import { storeFinishedRun } from './stored-runs.ts'

const url = await createTestDatabase()
const api = await startTestApi(url)
const headers = { accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8' }

async function openPlayground(port: number, path = '/graphql') {
  const answer = await rawRequest(port, { path, headers })
  return { ...answer, html: answer.headers['content-encoding'] === 'gzip' ? gunzipSync(answer.body).toString() : '' }
}

describe('the playground', () => {
  it('is what a browser gets at /graphql, gzipped, and / leads there', async () => {
    const { status, html, headers: got } = await openPlayground(api.port)
    expect([status, got['content-type']]).toEqual([200, 'text/html; charset=utf-8'])
    expect(html).toContain('<title>kvscope playground</title>')
    const root = await rawRequest(api.port, { path: '/', headers })
    expect([root.status, root.headers.location]).toEqual([302, '/graphql'])
  })

  it('is what a browser gets with a query in the address, too', async () => {
    expect((await openPlayground(api.port, '/graphql?query=%7B__typename%7D')).html).toContain('kvscope playground')
  })

  it('asks nobody else for anything: nothing is linked, and its policy allows no other server', async () => {
    const { html, headers: got } = await openPlayground(api.port)
    const markup = html.replace(/<(script|style)>[\s\S]*?<\/\1>/g, '')
    expect(markup).not.toMatch(/(src|href)="?(https?:)?\/\//)
    const policy = String(got['content-security-policy'])
    expect(policy).not.toMatch(/https?:|\*|unsafe-eval/)
    const own = `127.0.0.1:${api.port}`
    expect(policy.match(/connect-src [^;]*/)?.[0]).toBe(`connect-src 'self' ws://${own} wss://${own}`)
    expect(policy.match(/script-src [^;]*/)?.[0]).not.toContain('unsafe-inline')
  })

  it('may run its own script: the policy has its hash', async () => {
    const { html, headers: got } = await openPlayground(api.port)
    const script = /<script>([\s\S]*?)<\/script>/.exec(html)?.[1] ?? ''
    const hash = createHash('sha256').update(script).digest('base64')
    expect(got['content-security-policy']).toContain(`'sha256-${hash}'`)
  })

  it('has every saved example, with the ids of what is stored', async () => {
    const before = await openPlayground(api.port)
    for (const { query } of await readExamples()) expect(before.html).toContain(JSON.stringify(query))
    const db = connectDatabase(url)
    const runId = await storeFinishedRun(db)
    await db.close()
    expect(before.html).not.toContain(runId)
    expect((await openPlayground(api.port)).html).toContain(runId)
  })

  it('tells nothing of what is stored where tokens are asked for', async () => {
    const db = connectDatabase(url)
    const runId = await storeFinishedRun(db)
    await db.close()
    const guarded = await startTestApi(url, { KVSCOPE_TOKENS: 'ann:only-ann-knows-this' })
    const { status, html } = await openPlayground(guarded.port)
    expect(status).toBe(200)
    expect(html).not.toContain(runId)
  })

  it('stays away from clients that want JSON', async () => {
    const wantsJson = { accept: 'application/json', 'apollo-require-preflight': 'yes' }
    const answer = await rawRequest(api.port, { path: '/graphql?query=%7B__typename%7D', headers: wantsJson })
    expect(JSON.parse(answer.body.toString())).toEqual({ data: { __typename: 'Query' } })
  })
})
