import { AppError } from '../errors.ts'
import { Prisma } from '../generated/prisma/client.ts'
import type { Database, Queries } from './client.ts'
import { adapterCause } from './connection-loss.ts'
import { requireRunId } from './run-id.ts'
import { requireRun } from './runs.ts'

/**
 * Removes a run and everything stored with it. Tiles of attention maps may be gigabytes: they are out of reach at once,
 * and a sweeper deletes them later.
 * @throws AppError NOT_FOUND; CONFLICT while it is queued or running, or while a baseline names it
 */
export async function deleteRun(db: Database, id: string): Promise<void> {
  if ((await deleteFinishedRuns(db, [requireRunId(id)])) > 0) return
  const { status } = await requireRun(db, id)
  if (status === 'QUEUED' || status === 'RUNNING') {
    throw new AppError(
      'CONFLICT',
      `run ${id} is ${status} and cannot be deleted`,
      'Cancel it first, or wait until it ends.',
    )
  }
  const baselines = await db.baseline.findMany({ where: { runId: id }, orderBy: { name: 'asc' }, take: 10 })
  const names = baselines.map(({ name }) => JSON.stringify(name)).join(', ')
  throw new AppError(
    'CONFLICT',
    `run ${id} is the baseline ${names || 'of a name that was removed just now'}`,
    names ? 'Remove the baseline, or move it to another run, first.' : 'Delete it again.',
  )
}

/**
 * Removes those of the runs that are finished and that no baseline names. One statement.
 * @param keepPinned pinned runs stay
 * @returns how many
 */
export async function deleteFinishedRuns(db: Queries, ids: readonly string[], keepPinned = false): Promise<number> {
  const pinned = keepPinned ? Prisma.sql`AND NOT run.pinned` : Prisma.empty
  const statement = Prisma.sql`
    WITH gone AS (
      DELETE FROM "Run" AS run WHERE run.id = ANY(${[...ids]}::uuid[]) AND run.status NOT IN ('QUEUED', 'RUNNING')
        AND NOT EXISTS (SELECT 1 FROM "Baseline" AS baseline WHERE baseline."runId" = run.id) ${pinned}
      RETURNING run.id, run.kind
    ), left_behind AS (
      INSERT INTO "DeletedRun" (id) SELECT id FROM gone WHERE kind = 'ATTENTION_MAPS'
    )
    SELECT id FROM gone WHERE pg_notify('kvscope_run', id::text)::text IS NOT NULL`
  for (;;) {
    try {
      return (await db.$queryRaw<unknown[]>(statement)).length
    } catch (error) {
      // A baseline was set since the statement's snapshot was taken. It is seen in the next.
      if (!isForeignKeyViolation(error)) throw error
    }
  }
}

/** Of ON DELETE RESTRICT: restrict_violation from PostgreSQL 18 on, foreign_key_violation before. */
function isForeignKeyViolation(error: unknown): boolean {
  return error instanceof Error && ['23001', '23503'].includes(String(adapterCause(error).originalCode))
}

/** So many tiles are deleted by one sweep at most, of 128 KiB each. */
const deletedAtOnce = 2000

/**
 * Deletes tiles that deleted runs left behind; no reader sees them. A sweep nearly always finds none.
 * @returns how many
 */
export async function deleteLeftTiles(db: Queries): Promise<number> {
  return db.$executeRaw`
    WITH deleted AS MATERIALIZED (SELECT id FROM "DeletedRun"), done AS (
      DELETE FROM "DeletedRun" AS run
      WHERE NOT EXISTS (SELECT 1 FROM "AttentionTile" AS tile WHERE tile."runId" = run.id)
    )
    DELETE FROM "AttentionTile" WHERE ctid = ANY(ARRAY(
      SELECT tile.ctid FROM deleted, LATERAL (
        SELECT ctid FROM "AttentionTile" WHERE "runId" = deleted.id LIMIT ${deletedAtOnce}
      ) AS tile LIMIT ${deletedAtOnce}))`
}
