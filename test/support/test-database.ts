import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { afterAll, inject } from 'vitest'
import './provided.ts'

/**
 * A database of the caller's own, cloned from the template with kvscope's and the queue's migrations: about 50 ms.
 * Call it at the top level of a file or of a describe block; it is dropped after that block's tests.
 * @returns its URL
 */
export async function createTestDatabase(options: { empty?: boolean } = {}): Promise<string> {
  const { adminUrl, template } = inject('servers')
  if (adminUrl === null) throw new Error('Only unit and golden tests were asked for, so no PostgreSQL was started.')
  const name = `test_${randomBytes(8).toString('hex')}`
  await administer(adminUrl, `CREATE DATABASE ${name} TEMPLATE ${options.empty ? 'template0' : template}`)
  afterAll(() => administer(adminUrl, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`))
  const url = new URL(adminUrl)
  url.pathname = `/${name}`
  return url.href
}

/** Several files may clone at once, and PostgreSQL refuses to clone a database that somebody else looks at. */
async function administer(url: string, statement: string): Promise<void> {
  for (let tries = 1; ; tries++) {
    const client = new pg.Client({ connectionString: url })
    try {
      await client.connect()
      await client.query(statement)
      return
    } catch (error) {
      if (tries === 20 || !(error instanceof Error && 'code' in error && error.code === '55006')) throw error
      await sleep(50 + Math.random() * 200)
    } finally {
      await client.end().catch(() => undefined)
    }
  }
}
