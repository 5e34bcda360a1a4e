import { Prisma } from '../generated/prisma/client.ts'
import type { Queries } from './client.ts'
import type { RunRow } from './rows.ts'

/**
 * Changes a run's status, adds the event that says so and wakes the listeners, all in one statement and so in one
 * transaction. Whatever guards the change stands in its WHERE: PostgreSQL locks the row, and whoever comes second sees
 * what the first made of it.
 * @param change the SET list, without "lastSeq"
 * @param guard the WHERE condition
 * @returns the rows as they are now; empty where the guard let nothing pass
 */
export function moveRuns(
  db: Queries,
  change: Prisma.Sql,
  guard: Prisma.Sql,
  message: Prisma.Sql | string | null,
): Promise<RunRow[]> {
  // clock_timestamp(), not now(): the row's lock orders events by it as it orders seq.
  return db.$queryRaw<RunRow[]>`
    WITH moved AS (
      UPDATE "Run" AS run SET "lastSeq" = run."lastSeq" + 1, ${change} WHERE ${guard} RETURNING run.*
    ), event AS (
      INSERT INTO "RunEvent" ("runId", seq, at, attempt, status, fraction, message)
      SELECT id, "lastSeq", clock_timestamp(), attempt, status, fraction, ${message}::text FROM moved
    )
    SELECT * FROM moved WHERE pg_notify('kvscope_run', id::text)::text IS NOT NULL`
}

/** The guard of everything that an attempt writes. */
export function isRunningAttempt(guard: { runId: string; attempt: number }): Prisma.Sql {
  return Prisma.sql`id = ${guard.runId}::uuid AND attempt = ${guard.attempt} AND status = 'RUNNING'`
}
