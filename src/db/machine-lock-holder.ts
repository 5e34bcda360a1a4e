import type { Queries } from './client.ts'
import { lockApplication, lockKey } from './machine-lock.ts'

/** Who holds the lock of a machine. */
export interface MachineLockHolder {
  /** of the backend on the server */
  pid: number
  /** the client's address; null: a Unix socket */
  address: string | null
  /** null: no worker, or one that has removed itself */
  workerId: string | null
  /** the worker has not beaten for the time asked about */
  silent: boolean
}

/** @returns null where nobody holds it */
export async function findMachineLockHolder(
  db: Queries,
  machineId: string,
  silentMs: number,
): Promise<MachineLockHolder | null> {
  const [holder] = await db.$queryRaw<MachineLockHolder[]>`
    SELECT holder.pid, host(holder.client_addr) AS address, worker.id AS "workerId",
      coalesce(worker."lastSeen" < clock_timestamp() - ${silentMs} * interval '1 millisecond', false) AS silent
    FROM pg_locks AS lock
    JOIN pg_stat_activity AS holder ON holder.pid = lock.pid
    LEFT JOIN "Worker" AS worker ON holder.application_name = ${`${lockApplication} `} || worker.id
    WHERE lock.locktype = 'advisory' AND lock.granted AND lock.objsubid = 1
      AND lock.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND (lock.classid::bigint << 32) | lock.objid::bigint = ${lockKey(machineId)}::bigint`
  return holder ?? null
}

/** Closes the holder's connection, and with it the lock. A holder that lives after all takes it again in its turn. */
export async function endMachineLockHolder(db: Queries, { pid }: MachineLockHolder): Promise<void> {
  await db.$queryRaw`SELECT pg_terminate_backend(${pid}::int) AS ended`
}
