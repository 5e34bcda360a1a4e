import { chmodSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll } from 'vitest'
import { migrate } from '../../src/db/migrate.ts'
import { resetDataFolder } from '../../src/embedded/data-folder.ts'
import { startPostgres } from '../../src/embedded/postgres.ts'
import { migrateQueue } from '../../src/jobs/queues.ts'

/** A PostgreSQL of a test's own, to be killed. Commits survive its processes, though not the machine's end. */
export interface OwnPostgres {
  /** A migrated database. */
  createDatabase(): Promise<string>
  /** SIGKILL of the postmaster; its backends follow by themselves. */
  kill(): void
  /** Brings it back on the same port. */
  restart(): Promise<void>
}

export async function startOwnPostgres(): Promise<OwnPostgres> {
  const folder = mkdtempSync(join(tmpdir(), 'kvscope-own-postgres-'))
  chmodSync(folder, 0o755)
  const server = await startPostgres(folder, { settings: { fsync: 'off', full_page_writes: 'off' } })
  afterAll(async () => {
    await server.stop()
    await resetDataFolder(folder)
  })
  let count = 0
  return {
    async createDatabase() {
      const url = new URL(server.url)
      const client = new pg.Client({ connectionString: url.href })
      url.pathname = `/killed_${++count}`
      await client.connect()
      await client.query(`CREATE DATABASE killed_${count}`)
      await client.end()
      await migrate(url.href)
      await migrateQueue(url.href)
      return url.href
    },
    kill: () => {
      process.kill(server.pid, 'SIGKILL')
    },
    restart: () => server.restart(),
  }
}
