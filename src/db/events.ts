import type { RunStatus } from '../generated/prisma/client.ts'
import type { Database, Queries } from './client.ts'
import type { Guard, RunEventRow } from './rows.ts'
import { isRunId } from './run-id.ts'
import { isRunningAttempt } from './run-moves.ts'
import { storableText } from './stored-text.ts'

export interface NewEvent {
  status?: RunStatus | null
  /** 0 to 1 */
  fraction?: number | null
  message?: string | null
}

/**
 * Adds an event to a run, whatever its status, and wakes the listeners. Its seq is taken by updating the run's row in
 * the same transaction: the row stays locked until the event is visible, so no reader ever sees seq n + 1 before seq n.
 * Inside a transaction of the caller's the notification is sent with its commit.
 * @returns the event's seq; null where there is no such run
 */
export async function appendEvent(db: Queries, runId: string, event: NewEvent): Promise<number | null> {
  const message = event.message == null ? null : storableText(event.message)
  const rows = await db.$queryRaw<{ seq: number }[]>`
    WITH run AS (
      UPDATE "Run" SET "lastSeq" = "lastSeq" + 1 WHERE id = ${runId}::uuid RETURNING id, "lastSeq", attempt
    ), event AS (
      INSERT INTO "RunEvent" ("runId", seq, at, attempt, status, fraction, message)
      SELECT id, "lastSeq", clock_timestamp(), attempt, ${event.status ?? null}::"RunStatus",
        ${event.fraction ?? null}::float8, ${message}
      FROM run
    )
    SELECT "lastSeq" AS seq FROM run WHERE pg_notify('kvscope_run', id::text)::text IS NOT NULL`
  return rows[0]?.seq ?? null
}

/**
 * Says how far an attempt has come, in the run and as an event.
 * @param fraction 0 to 1
 * @returns false where the run is no longer this attempt's; then nothing was written
 */
export async function appendProgress(
  db: Database,
  guard: Guard,
  progress: { fraction: number; message: string | null },
): Promise<boolean> {
  const message = progress.message === null ? null : storableText(progress.message)
  const rows = await db.$queryRaw<unknown[]>`
    WITH run AS (
      UPDATE "Run" SET "lastSeq" = "lastSeq" + 1, fraction = ${progress.fraction}::float8
      WHERE ${isRunningAttempt(guard)} RETURNING id, "lastSeq", attempt, fraction
    ), event AS (
      INSERT INTO "RunEvent" ("runId", seq, at, attempt, fraction, message)
      SELECT id, "lastSeq", clock_timestamp(), attempt, fraction, ${message} FROM run
    )
    SELECT "lastSeq" FROM run WHERE pg_notify('kvscope_run', id::text)::text IS NOT NULL`
  return rows.length > 0
}

/** The first `limit` events of a run after seq `after`, in order. */
export function readEvents(db: Queries, runId: string, after: number, limit: number): Promise<RunEventRow[]> {
  if (!isRunId(runId)) return Promise.resolve([])
  return db.runEvent.findMany({ where: { runId, seq: { gt: after } }, orderBy: { seq: 'asc' }, take: limit })
}

/** The same for many runs in one statement: each run's first `limit` events after `after`, in order. */
export async function readEventsOfRuns(
  db: Queries,
  runIds: readonly string[],
  after: number,
  limit: number,
): Promise<Map<string, RunEventRow[]>> {
  const rows = await db.$queryRaw<RunEventRow[]>`
    SELECT event.* FROM unnest(${runIds.filter(isRunId)}::uuid[]) AS run(id) CROSS JOIN LATERAL (
      SELECT * FROM "RunEvent" WHERE "runId" = run.id AND seq > ${after} ORDER BY seq LIMIT ${limit}
    ) AS event ORDER BY event."runId", event.seq`
  const found = new Map<string, RunEventRow[]>(runIds.map((id) => [id, []]))
  for (const row of rows) found.get(row.runId)?.push(row)
  return found
}
