import type { Config } from '../config.ts'
import { startPostgres } from '../embedded/postgres.ts'
import { migrateAll } from '../jobs/migrate-all.ts'

/** A database that answers, for the time of a command. */
export interface DatabaseServer {
  readonly url: string
  /** Names of our migrations that were applied on opening it. */
  readonly applied: readonly string[]
  /** Leaves it; an embedded PostgreSQL that nobody else uses ends. */
  stop(): Promise<void>
}

/**
 * The database that the configuration names, or else the data folder's own PostgreSQL, started or attached to, with all
 * migrations applied. A database that was named is left as it is: `kvscope migrate` is its owner's to run.
 */
export async function openDatabaseServer(
  config: Pick<Config, 'databaseUrl' | 'redisUrl' | 'dataDir'>,
): Promise<DatabaseServer> {
  if (config.databaseUrl !== null) return { url: config.databaseUrl, applied: [], stop: () => Promise.resolve() }
  const postgres = await startPostgres(config.dataDir)
  try {
    const applied = await migrateAll(postgres.url, config)
    return { url: postgres.url, applied, stop: () => postgres.stop() }
  } catch (error) {
    await postgres.stop()
    throw error
  }
}
