import { Prisma } from '../generated/prisma/client.ts'
import type { Queries } from './client.ts'
import { moveRuns } from './run-moves.ts'
import type { RunQueue } from './run-queue.ts'

/** What is needed to enqueue a run: its next attempt is `attempt + 1`. */
export interface UnfinishedRun extends RunQueue {
  id: string
  attempt: number
}

/** Runs that have been queued for longer than `waitedMs`: the oldest `limit` of every queue, oldest first. */
export function findWaitingRuns(db: Queries, waitedMs: number, limit: number): Promise<UnfinishedRun[]> {
  return db.$queryRaw<UnfinishedRun[]>`
    SELECT id, device, "placedHostname", "placedWorkerId", attempt FROM (
      SELECT id, device, "placedHostname", "placedWorkerId", attempt, "queuedAt",
        row_number() OVER (PARTITION BY device, "placedHostname", "placedWorkerId" ORDER BY "queuedAt", id) AS place
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
    select: { id: true, device: true, placedHostname: true, placedWorkerId: true, attempt: true },
  })
}

/** The queues that runs wait in, each once. */
export function findWaitedQueues(db: Queries): Promise<RunQueue[]> {
  return db.$queryRaw<RunQueue[]>`
    SELECT DISTINCT device, "placedHostname", "placedWorkerId" FROM "Run" WHERE status = 'QUEUED'`
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

/** So many rows of one run and table are deleted by one sweep at most: an attention map at length has thousands. */
const deletedAtOnce = 2000

/**
 * Deletes results that an earlier attempt left behind; readers never see them. One statement: it is sent with every
 * sweep and nearly always finds nothing. LATERAL with a limit looks up each retried run by the table's key, whatever the
 * planner thinks of the sizes.
 */
export async function deleteEarlierAttempts(db: Queries): Promise<void> {
  const deletions = resultTables.map((table) =>
    Prisma.raw(
      `"of${table}" AS (
        DELETE FROM "${table}" WHERE ctid = ANY(ARRAY(
          SELECT earlier.ctid FROM retried, LATERAL (
            SELECT ctid FROM "${table}" WHERE "runId" = retried.id AND attempt < retried.attempt LIMIT ${deletedAtOnce}
          ) AS earlier)))`,
    ),
  )
  await db.$executeRaw`
    WITH retried AS MATERIALIZED (SELECT id, attempt FROM "Run" WHERE attempt > 1), ${Prisma.join(deletions)} SELECT 1`
}

/** Deletes workers that have said nothing for `silentMs` and are named by no running run. */
export async function deleteDeadWorkers(db: Queries, silentMs: number): Promise<number> {
  return db.$executeRaw`
    DELETE FROM "Worker" AS worker
    WHERE "lastSeen" < now() - ${silentMs} * interval '1 millisecond'
      AND NOT EXISTS (SELECT 1 FROM "Run" AS run WHERE run."workerId" = worker.id AND run.status = 'RUNNING')`
}
