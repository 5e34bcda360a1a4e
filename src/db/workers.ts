import type { Device } from '../generated/prisma/client.ts'
import type { Queries } from './client.ts'
import type { WorkerRow } from './rows.ts'
import { storableText } from './stored-text.ts'

export interface NewWorker {
  id: string
  hostname: string
  pid: number
  /** The same for all workers of one machine. */
  machineId: string
  devices: readonly Device[]
}

/** All times here are the database's, so that the clocks of the workers' machines do not matter. */
export async function registerWorker(db: Queries, worker: NewWorker): Promise<void> {
  const { id, hostname, pid, machineId, devices } = worker
  await db.$executeRaw`
    INSERT INTO "Worker" (id, hostname, pid, "machineId", devices, "startedAt", "lastSeen")
    VALUES (${id}::uuid, ${storableText(hostname)}, ${pid}, ${machineId}, ${[...devices]}::"Device"[], clock_timestamp(),
      clock_timestamp())
    ON CONFLICT (id) DO UPDATE SET devices = excluded.devices, "lastSeen" = excluded."lastSeen"`
}

/**
 * Says that the worker lives.
 * @returns false where its row is gone, as after a reset of the database: then it must register again
 */
export async function beat(db: Queries, id: string): Promise<boolean> {
  return (await db.$executeRaw`UPDATE "Worker" SET "lastSeen" = clock_timestamp() WHERE id = ${id}::uuid`) > 0
}

/** For a worker that ends in order; whatever it still runs counts as left behind at once. */
export async function removeWorker(db: Queries, id: string): Promise<void> {
  await db.$executeRaw`DELETE FROM "Worker" WHERE id = ${id}::uuid`
}

/** The workers seen at or after a moment, longest alive first. */
export function liveWorkers(db: Queries, since: Date): Promise<WorkerRow[]> {
  return db.worker.findMany({ where: { lastSeen: { gte: since } }, orderBy: [{ startedAt: 'asc' }, { id: 'asc' }] })
}

/** What a live worker offers, and where. */
export type Offer = Pick<WorkerRow, 'id' | 'hostname' | 'devices'>

/** The workers that have been seen within the last `withinMs`, longest alive first. */
export function findOffers(db: Queries, withinMs: number): Promise<Offer[]> {
  return db.$queryRaw<Offer[]>`
    SELECT id, hostname, devices::text[] AS devices FROM "Worker"
    WHERE "lastSeen" >= now() - ${withinMs} * interval '1 millisecond' ORDER BY "startedAt", id`
}

/** The moment `agoMs` milliseconds ago by the database's clock, which `lastSeen` and `queuedAt` are written by. */
export async function databaseTime(db: Queries, agoMs = 0): Promise<Date> {
  const rows = await db.$queryRaw<{ moment: Date }[]>`
    SELECT clock_timestamp() - ${agoMs} * interval '1 millisecond' AS moment`
  return rows[0]?.moment ?? new Date(Date.now() - agoMs)
}
