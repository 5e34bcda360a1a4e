import type { Database } from './client.ts'

/** Any number that no other advisory lock of the database has. */
const sweepLock = 7_203_871
const longestSweepMs = 120_000

/**
 * Does `work` if no other process is at it, holding the lock on a connection of its own; a process that dies lets go.
 * @returns whether the work was done here
 */
export function trySweepLock(db: Database, work: () => Promise<void>): Promise<boolean> {
  return db.$transaction(
    async (transaction) => {
      const rows = await transaction.$queryRaw<{ locked: boolean }[]>`
        SELECT pg_try_advisory_xact_lock(${sweepLock}::bigint) AS locked`
      if (rows[0]?.locked !== true) return false
      await work()
      return true
    },
    { timeout: longestSweepMs, maxWait: 10_000 },
  )
}
