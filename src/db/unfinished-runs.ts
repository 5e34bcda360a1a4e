import { type Device, Prisma } from '../generated/prisma/client.ts'
import type { Queries } from './client.ts'
import { moveRuns } from './run-moves.ts'

/** What is needed to enqueue a run: its next attempt is `attempt + 1`. */
export interface UnfinishedRun {
  id: string
  device: Device
  attempt: number
}

/** Runs that have been queued for longer than `waitedMs`: the oldest `limit` of every device, oldest first. */
export function findWaitingRuns(db: Queries, waitedMs: number, limit: number): Promise<UnfinishedRun[]> {
  return db.$queryRaw<UnfinishedRun[]>`
    SELECT id, device, attempt FROM (
      SELECT id, device, attempt, "queuedAt", row_number() OVER (PARTITION BY device ORDER BY "queuedAt", id) AS place
      FROM "Run"
      WHERE status = 'QUEUED' AND "queuedAt" < now() - ${waitedMs} * interval '1 millisecond'
    ) AS waiting
    WHERE place <= ${limit}
    ORDER BY "queuedAt", id`
}

/**
 * RUNNING -> QUEUED for every run whose worker has removed itself or has said nothing for `silentMs`. Such a run keeps
 * its `queuedAt`, for it has waited already, and its `takes`, for it may be what ended the worker.
 * @returns them
 */
export function requeueOrphanedRuns(db: Queries, silentMs: number): Promise<UnfinishedRun[]> {
  // With its attempt: a run that another worker takes meanwhile is no orphan any more.
  const orphaned = Prisma.sql`
    SELECT orphan.id, orphan.attempt
    FROM "Run" AS orphan LEFT JOIN "Worker" AS worker ON worker.id = orphan."workerId"
    WHERE orphan.status = 'RUNNING'
      AND (worker.id IS NULL OR worker."lastSeen" < now() - ${silentMs} * interval '1 millisecond')`
  return moveRuns(
    db,
    Prisma.sql`status = 'QUEUED', fraction = 0, "workerId" = NULL, "startedAt" = NULL`,
    Prisma.sql`run.status = 'RUNNING' AND (run.id, run.attempt) IN (${orphaned})`,
    'its worker is gone',
  )
}

/** Runs that a worker is said to be running. */
export function findRunsOfWorker(db: Queries, workerId: string): Promise<UnfinishedRun[]> {
  return db.run.findMany({
    where: { workerId, status: 'RUNNING' },
    select: { id: true, device: true, attempt: true },
  })
}

/** Devices that some worker has offered within the last `withinMs`. */
export async function findOfferedDevices(db: Queries, withinMs: number): Promise<Device[]> {
  const rows = await db.$queryRaw<{ device: Device }[]>`
    SELECT DISTINCT unnest(devices) AS device FROM "Worker"
    WHERE "lastSeen" >= now() - ${withinMs} * interval '1 millisecond'`
  return rows.map((row) => row.device)
}

/** Tables whose rows belong to one attempt at a run. */
const resultTables = [
  'Series',
  'WeightMatrix',
  'HeadSharing',
  'AttentionPrompt',
  'AttentionHead',
  'AttentionTile',
  'HeadDiversity',
] as const

/** Deletes results that an earlier attempt left behind; readers never see them. */
export async function deleteEarlierAttempts(db: Queries): Promise<number> {
  let deleted = 0
  for (const table of resultTables) {
    deleted += await db.$executeRaw`
      DELETE FROM ${Prisma.raw(`"${table}"`)} AS result USING "Run" AS run
      WHERE run.attempt > 1 AND result."runId" = run.id AND result.attempt < run.attempt`
  }
  return deleted
}

/** Deletes workers that have said nothing for `silentMs` and are named by no running run. */
export async function deleteDeadWorkers(db: Queries, silentMs: number): Promise<number> {
  return db.$executeRaw`
    DELETE FROM "Worker" AS worker
    WHERE "lastSeen" < now() - ${silentMs} * interval '1 millisecond'
      AND NOT EXISTS (SELECT 1 FROM "Run" AS run WHERE run."workerId" = worker.id AND run.status = 'RUNNING')`
}
