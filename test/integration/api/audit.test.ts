import { serverAudits } from 'graphql-http'
import { describe, expect, it } from 'vitest'
import { createTestDatabase } from '../../support/test-database.ts'
import { startTestApi } from './api-under-test.ts'

const api = await startTestApi(await createTestDatabase())
const url = `${api.address}/graphql`
const audits = serverAudits({ url })

/** GET requests that a page of another site could make; all of them are what a server MAY do. */
const blockedByCsrfPrevention = new Map([
  ['5A70', 'MAY accept application/x-www-form-urlencoded formatted GET requests'],
  [
    'D6D5',
    'MAY allow URL-encoded JSON string {variables} parameter in GETs when accepting application/graphql-response+json',
  ],
  ['6A70', 'MAY allow URL-encoded JSON string {variables} parameter in GETs when accepting application/json'],
])

describe("GraphQL over HTTP, by graphql-http's audits:", () => {
  it('they are there, most of them binding', () => {
    expect(audits.filter(({ name }) => /^(MUST|SHOULD) /.test(name)).length).toBeGreaterThan(30)
    const found = new Map(audits.map(({ id, name }) => [id, name]))
    for (const [id, name] of blockedByCsrfPrevention) expect(found.get(id)).toBe(name)
  })

  it.each(audits.filter(({ id }) => !blockedByCsrfPrevention.has(id)))('$name', async ({ fn }) => {
    expect(await fn()).toMatchObject({ status: 'ok' })
  })

  it('what CSRF prevention blocks works for a client that shows it is no form', async () => {
    const fetchFn = (input: string, init: RequestInit = {}) =>
      fetch(input, { ...init, headers: { ...Object(init.headers), 'apollo-require-preflight': 'yes' } })
    const asked = serverAudits({ url, fetchFn }).filter(({ id }) => blockedByCsrfPrevention.has(id))
    for (const { fn, name } of asked) expect(await fn(), name).toMatchObject({ status: 'ok' })
    for (const { fn, id, name } of audits) {
      if (blockedByCsrfPrevention.has(id)) expect(await fn(), name).toMatchObject({ status: 'notice' })
    }
  })
})
