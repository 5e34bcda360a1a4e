import type { Database } from './client.ts'

/** Any number that no other advisory lock of the database has. */
const sweepLock = 7_203_871

/**
 * Does `work` if no other process is at it, holding the lock on a connection of its own; a process that dies lets go,
 * and so does one that is at it for `longestMs`.
 * @returns whether the work was done here
 */
export function trySweepLock(db: Database, work: () => Promise<void>, longestMs = 120_000): Promise<boolean> {
  return db.$transaction(
    async (transaction) => {
      const rows = await transaction.$queryRaw<{ locked: boolean }[]>`
        SELECT pg_try_advisory_xact_lock(${sweepLock}::bigint) AS locked`
      if (rows[0]?.locked !== true) return false
      // A process that is paused keeps its connection: the server ends it, and with it the lock.
      await transaction.$executeRaw`SELECT set_config('idle_in_transaction_session_timeout', ${String(longestMs)}, true)`
      await work()
      return true
    },
    { timeout: longestMs, maxWait: 10_000 },
  )
}
