import type { Config } from '../config.ts'
import { migrate } from '../db/migrate.ts'
import { migrateQueue } from './queues.ts'

/**
 * Brings our tables and, where the queue lives there too, the queue's to this version. Safe at any time, also where
 * several processes start at once; every process that needs the tables calls it.
 * @returns the names of our migrations applied now
 */
export async function migrateAll(databaseUrl: string, { redisUrl }: Pick<Config, 'redisUrl'>): Promise<string[]> {
  const applied = await migrate(databaseUrl)
  if (redisUrl === null) await migrateQueue(databaseUrl)
  return applied
}
