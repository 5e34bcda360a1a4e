import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { afterAll, expect, it } from 'vitest'
import { connectDatabase } from '../../../src/db/client.ts'
import { migrate } from '../../../src/db/migrate.ts'
import { countRuns } from '../../../src/db/run-pages.ts'
import { insertSampleRun } from '../../support/sample-runs.ts'
import { createTestDatabase } from '../../support/test-database.ts'

/** Runs statements as the servers' administrator. */
async function administer(url: string, ...statements: string[]): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    for (const statement of statements) await client.query(statement)
  } finally {
    await client.end()
  }
}

async function indexes(url: string): Promise<string[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    const { rows } = await client.query<{ name: string }>(
      `SELECT indexname AS name FROM pg_indexes WHERE indexdef LIKE '%gin_trgm_ops%' ORDER BY indexname`,
    )
    return rows.map(({ name }) => name)
  } finally {
    await client.end()
  }
}

const trigrams = ['Run_note_idx', 'Subject_name_idx']

it('indexes notes and names by trigrams', async () => {
  expect(await indexes(await createTestDatabase())).toEqual(trigrams)
})

it('migrates and finds text all the same where the extension is refused, and takes the index that is made later', async () => {
  const url = await createTestDatabase({ empty: true })
  const role = `plain_${randomBytes(6).toString('hex')}`
  const asRole = new URL(url)
  asRole.username = role
  asRole.password = role
  // Neither owner of the database nor allowed to create in it: only the schema is the role's to fill.
  await administer(url, `CREATE ROLE ${role} LOGIN PASSWORD '${role}'`, `GRANT ALL ON SCHEMA public TO ${role}`)
  afterAll(() => administer(url, `DROP OWNED BY ${role} CASCADE`, `DROP ROLE ${role}`))
  await migrate(asRole.href)
  expect(await indexes(url)).toEqual([])
  const db = connectDatabase(asRole.href)
  afterAll(() => db.close())
  await insertSampleRun(db, { note: 'A note' })
  expect(await countRuns(db, { text: 'a NOTE' })).toBe(1)
  await administer(
    url,
    'CREATE EXTENSION pg_trgm',
    'CREATE INDEX "Run_note_idx" ON "Run" USING GIN ("note" gin_trgm_ops)',
    'CREATE INDEX "Subject_name_idx" ON "Subject" USING GIN ("name" gin_trgm_ops)',
  )
  expect(await indexes(url)).toEqual(trigrams)
  expect(await countRuns(db, { text: 'a NOTE' })).toBe(1)
})
