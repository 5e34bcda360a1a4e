import { chmodSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll } from 'vitest'
import { migrate } from '../../src/db/migrate.ts'
import { resetDataFolder } from '../../src/embedded/data-folder.ts'
import { startPostgres } from '../../src/embedded/postgres.ts'
import { migrateQueue } from '../../src/jobs/queues.ts'
import { until } from './processes.ts'

/** A PostgreSQL of a test's own, to be killed. Commits survive its processes, though not the machine's end. */
export interface OwnPostgres {
  /** A migrated database. */
  createDatabase(): Promise<string>
  /**
   * SIGKILL of the postmaster, whose backends follow by themselves, and a start on the same port.
   * @param meanwhile done while it is away
   */
  killAndRestart(meanwhile?: () => Promise<void>): Promise<void>
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
      const name = `killed_${++count}`
      const client = new pg.Client({ connectionString: server.url })
      await client.connect()
      try {
        // Not the default template: PostgreSQL refuses to clone one that somebody else clones.
        await client.query(`CREATE DATABASE ${name} TEMPLATE template0`)
      } finally {
        await client.end()
      }
      const url = new URL(server.url)
      url.pathname = `/${name}`
      await migrate(url.href)
      await migrateQueue(url.href)
      return url.href
    },
    async killAndRestart(meanwhile) {
      process.kill(server.pid, 'SIGKILL')
      await until('PostgreSQL is gone', () => !server.isAlive())
      try {
        await meanwhile?.()
      } finally {
        await server.restart()
      }
    },
  }
}
