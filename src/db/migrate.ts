import { createHash, randomUUID } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { AppError } from '../errors.ts'
import { packageFile } from '../package-folder.ts'

/** The lock that Prisma's own migrate command takes. */
const prismaLock = 72_707_369
const ownFolder = packageFile('prisma/migrations')

/** As Prisma creates it, so that `prisma migrate` agrees with what was done here. */
const bookkeeping = `CREATE TABLE IF NOT EXISTS "_prisma_migrations" (
  "id" VARCHAR(36) PRIMARY KEY NOT NULL,
  "checksum" VARCHAR(64) NOT NULL,
  "finished_at" TIMESTAMPTZ,
  "migration_name" VARCHAR(255) NOT NULL,
  "logs" TEXT,
  "rolled_back_at" TIMESTAMPTZ,
  "started_at" TIMESTAMPTZ NOT NULL DEFAULT now(),
  "applied_steps_count" INTEGER NOT NULL DEFAULT 0
)`

interface Migration {
  name: string
  sql: string
  checksum: string
}

interface AppliedRow {
  migration_name: string
  checksum: string
  finished_at: Date | null
}

/**
 * Brings a database to the newest schema, in Prisma's folder and table. Each migration is one transaction together with
 * its row: a killed or failed one leaves nothing behind. Safe when several processes start at once.
 * @param folder where the migrations lie; others than our own are for tests
 * @returns the names of the migrations applied now
 * @throws AppError CONFLICT where an applied migration was edited, failed under another tool, or is not known here
 */
export async function migrate(url: string, folder = ownFolder): Promise<string[]> {
  const migrations = await readMigrations(folder)
  const client = await connect(url)
  try {
    await client.query('SELECT pg_advisory_lock($1)', [prismaLock])
    await client.query(bookkeeping)
    const applied = await client.query<AppliedRow>(
      'SELECT migration_name, checksum, finished_at FROM "_prisma_migrations" WHERE rolled_back_at IS NULL',
    )
    const pending = pendingMigrations(migrations, applied.rows)
    for (const migration of pending) await apply(client, migration)
    return pending.map(({ name }) => name)
  } finally {
    // Ending the connection gives the lock back.
    await client.end().catch(() => undefined)
  }
}

async function readMigrations(folder: string): Promise<Migration[]> {
  const entries = await readdir(folder, { withFileTypes: true })
  const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name)
  return Promise.all(
    names.sort().map(async (name) => {
      const sql = await readFile(join(folder, name, 'migration.sql'), 'utf8')
      return { name, sql, checksum: createHash('sha256').update(sql).digest('hex') }
    }),
  )
}

function pendingMigrations(migrations: readonly Migration[], applied: readonly AppliedRow[]): Migration[] {
  const known = new Map(migrations.map((migration) => [migration.name, migration]))
  for (const row of applied) {
    const migration = known.get(row.migration_name)
    if (!row.finished_at) {
      throw new AppError(
        'CONFLICT',
        `Migration ${row.migration_name} failed half way under another tool.`,
        'Mend the database by hand, then mark it with "prisma migrate resolve".',
      )
    }
    if (!migration) {
      throw new AppError(
        'CONFLICT',
        `The database has migration ${row.migration_name}, which this version of kvscope does not know.`,
        'Use the version of kvscope that wrote the database, or a newer one.',
      )
    }
    if (migration.checksum !== row.checksum) {
      throw new AppError(
        'CONFLICT',
        `Migration ${migration.name} was edited after it had been applied.`,
        'Bring the file back as it was and put the change into a new migration.',
      )
    }
  }
  const done = new Set(applied.map((row) => row.migration_name))
  return migrations.filter(({ name }) => !done.has(name))
}

async function apply(client: pg.Client, { name, sql, checksum }: Migration): Promise<void> {
  try {
    await client.query('BEGIN')
    await client.query(sql)
    await client.query(
      `INSERT INTO "_prisma_migrations" (id, checksum, migration_name, finished_at, applied_steps_count)
       VALUES ($1, $2, $3, clock_timestamp(), 1)`,
      [randomUUID(), checksum, name],
    )
    await client.query('COMMIT')
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined)
    throw new AppError(
      'INTERNAL',
      `Migration ${name} could not be applied: ${error instanceof Error ? error.message : error}`,
      'Nothing of it was kept. Mend what it stumbles over and start again.',
      error,
    )
  }
}

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000 })
  // Without a listener a server that dies meanwhile would end this process; the query under way reports it.
  client.on('error', () => undefined)
  try {
    await client.connect()
    return client
  } catch (error) {
    const { host, pathname } = new URL(url)
    throw new AppError(
      'INTERNAL',
      `The database ${pathname.slice(1)} at ${host} cannot be reached: ${error instanceof Error ? error.message : error}`,
      'See that PostgreSQL runs there and that DATABASE_URL is right.',
      error,
    )
  }
}
