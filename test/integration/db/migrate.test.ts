import { mkdtempSync } from 'node:fs'
import { cp, mkdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import pg from 'pg'
import { afterAll, describe, expect, it } from 'vitest'
import { migrate } from '../../../src/db/migrate.ts'
import { findDisagreements } from '../../../tools/schema-engine.mjs'
import { createTestDatabase } from '../../support/test-database.ts'

const root = resolve(import.meta.dirname, '../../..')
const migrations = join(root, 'prisma/migrations')
const scratch = mkdtempSync(join(tmpdir(), 'migrations-'))
afterAll(() => rm(scratch, { recursive: true }))

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(sql)).rows
  } finally {
    await client.end()
  }
}

/** Our migrations and one more. */
async function withMigration(name: string, sql: string): Promise<string> {
  const folder = join(scratch, name)
  await cp(migrations, folder, { recursive: true })
  await mkdir(join(folder, `99990101000000_${name}`))
  await writeFile(join(folder, `99990101000000_${name}`, 'migration.sql'), sql)
  return folder
}

describe('migrate', async () => {
  const [agreed, raced, edited, broken, newer, half] = await Promise.all(
    Array.from({ length: 6 }, () => createTestDatabase({ empty: true })),
  )
  if (!agreed || !raced || !edited || !broken || !newer || !half) throw new Error('six databases were asked for')

  it("leaves a database that Prisma's own engine agrees with: nothing pending, no drift", async () => {
    const applied = await migrate(agreed)
    expect(applied.length).toBeGreaterThan(0)
    const places = { url: agreed, schemaFile: join(root, 'prisma/schema.prisma'), migrations }
    expect(await findDisagreements(places)).toEqual([])
    await query(agreed, 'ALTER TABLE "Run" ADD COLUMN "stray" INT')
    expect((await findDisagreements(places)).join()).toContain('stray')
  })

  it('applies every migration once when several processes start at once', async () => {
    const results = await Promise.all(Array.from({ length: 5 }, () => migrate(raced)))
    expect(results.filter((applied) => applied.length > 0)).toHaveLength(1)
    expect(await migrate(raced)).toEqual([])
  })

  it('refuses a migration that was edited after it had been applied', async () => {
    const folder = await withMigration('edited', 'CREATE TABLE "More" (id INT)')
    await migrate(edited, folder)
    await writeFile(join(folder, '99990101000000_edited', 'migration.sql'), 'CREATE TABLE "Less" (id INT)')
    await expect(migrate(edited, folder)).rejects.toMatchObject({
      code: 'CONFLICT',
      message: 'Migration 99990101000000_edited was edited after it had been applied.',
    })
  })

  it('keeps nothing of a migration that fails, and applies it once it is mended', async () => {
    const folder = await withMigration('broken', 'CREATE TABLE "Kept" (id INT); CREATE TABLE "Run" (id INT)')
    await expect(migrate(broken, folder)).rejects.toThrow(
      /99990101000000_broken could not be applied: .*"Run" already exists/,
    )
    expect(await query(broken, `SELECT to_regclass('"Kept"')::text AS kept`)).toEqual([{ kept: null }])
    await writeFile(join(folder, '99990101000000_broken', 'migration.sql'), 'CREATE TABLE "Kept" (id INT)')
    expect(await migrate(broken, folder)).toEqual(['99990101000000_broken'])
  })

  it('refuses a database that a newer version has written', async () => {
    await migrate(newer, await withMigration('newer', 'SELECT 1'))
    await expect(migrate(newer)).rejects.toMatchObject({ code: 'CONFLICT', message: expect.stringContaining('newer') })
  })

  it('refuses a database in which another tool failed half way', async () => {
    await migrate(half)
    await query(half, 'UPDATE "_prisma_migrations" SET finished_at = NULL')
    await expect(migrate(half)).rejects.toThrow(/failed half way/)
  })

  it('says which database cannot be reached', async () => {
    await expect(migrate('postgresql://nobody@127.0.0.1:1/nowhere')).rejects.toThrow(/nowhere at 127.0.0.1:1/)
  })
})
