import { AppError, type ErrorRecord } from '../errors.ts'
import { type Device, Prisma, type RunKind } from '../generated/prisma/client.ts'
import type { Warning } from '../stats/measured-series.ts'
import type { Database, Queries } from './client.ts'
import type { Guard, NewSubject, RunRow } from './rows.ts'
import { newRunId, noSuchRun, requireRunId } from './run-id.ts'
import { isRunningAttempt, moveRuns } from './run-moves.ts'
import { placedFor, type RunQueue, waitsIn } from './run-queue.ts'
import { requireStorable, storableJson, storableText } from './stored-text.ts'

export interface Label {
  key: string
  value: string
}

export interface NewRun {
  kind: RunKind
  device: Device
  /** The only machine, or the only worker, that may take the run; left out: any */
  placedHostname?: string | null
  placedWorkerId?: string | null
  /** canonical */
  spec: unknown
  /** of the spec as it was asked for: what a repeated idempotencyKey is compared by */
  specHash: string
  /** in the order of the spec */
  subjects: readonly NewSubject[]
  labels: readonly Label[]
  note: string | null
  /** The same key with the same spec gives the same run. */
  idempotencyKey: string | null
}

/**
 * Stores a QUEUED run with its subjects, labels and first event, in one statement.
 * @returns the run's id, and whether its idempotencyKey was known; of two at once one inserts and both get the same id
 * @throws AppError CONFLICT where the key is known with another spec; VALIDATION_FAILED for text that cannot be stored
 */
export async function insertRun(db: Database, run: NewRun): Promise<{ runId: string; alreadyExisted: boolean }> {
  const { note, idempotencyKey: key, placedHostname = null, placedWorkerId = null } = run
  const spec = storableJson('the spec', run.spec)
  const labels = labelsJson(run.labels)
  const subjects = storableJson('a subject', run.subjects)
  if (note !== null) requireStorable('the note', note)
  if (key !== null) requireStorable('the idempotencyKey', key)
  if (placedHostname !== null) requireStorable('the hostname of the placement', placedHostname)
  for (;;) {
    const inserted = await db.$queryRaw<{ id: string }[]>`
      WITH run AS (
        INSERT INTO "Run" (id, kind, device, "placedHostname", "placedWorkerId", spec, "specHash", note,
          "idempotencyKey", "lastSeq", "queuedAt")
        VALUES (${newRunId()}::uuid, ${run.kind}::"RunKind", ${run.device}::"Device", ${placedHostname},
          ${placedWorkerId}::uuid, ${spec}::jsonb, ${run.specHash}, ${note}, ${key}, 1, clock_timestamp())
        ON CONFLICT ("idempotencyKey") DO NOTHING
        RETURNING id
      ), label AS (
        INSERT INTO "RunLabel" ("runId", key, value)
        SELECT run.id, item.key, item.value FROM run, jsonb_to_recordset(${labels}::jsonb) AS item(key text, value text)
      ), subject AS (
        INSERT INTO "Subject" ("runId", index, name, "modelName", "attentionKind", "kvHeads", device, threads, runtime,
          synthetic, model)
        SELECT run.id, place - 1, item->>'name', item->>'modelName', (item->>'attentionKind')::"AttentionKind",
          (item->>'kvHeads')::int, (item->>'device')::"Device", (item->>'threads')::int,
          coalesce(item->>'runtime', 'KVSCOPE')::"Runtime", (item->>'synthetic')::boolean, item->'model'
        FROM run, jsonb_array_elements(${subjects}::jsonb) WITH ORDINALITY AS items(item, place)
      ), event AS (
        INSERT INTO "RunEvent" ("runId", seq, at, attempt, status, fraction)
        SELECT id, 1, clock_timestamp(), 0, 'QUEUED', 0 FROM run
      )
      SELECT id::text FROM run WHERE pg_notify('kvscope_run', id::text)::text IS NOT NULL`
    if (inserted[0]) return { runId: inserted[0].id, alreadyExisted: false }
    const known = key === null ? null : await findRunOfKey(db, key, run.specHash)
    // Null: deleted in between, and its key is free again.
    if (known !== null) return { runId: known.id, alreadyExisted: true }
  }
}

/**
 * The run that an idempotencyKey belongs to, if any.
 * @throws AppError CONFLICT where the run was asked for with another spec; VALIDATION_FAILED where no run can have it
 */
export async function findRunOfKey(db: Queries, key: string, specHash: string): Promise<RunRow | null> {
  const known = await db.run.findUnique({ where: { idempotencyKey: requireStorable('the idempotencyKey', key) } })
  if (known === null || known.specHash === specHash) return known
  throw new AppError(
    'CONFLICT',
    `the idempotencyKey ${JSON.stringify(key)} belongs to run ${known.id}, which has another spec`,
    'Use a new key for a new spec.',
  )
}

/**
 * Changes what people say of a run. What is left out stays; a note of null is removed; labels replace all labels.
 * @throws AppError NOT_FOUND; VALIDATION_FAILED where a label's key comes twice
 */
export async function editRun(
  db: Database,
  id: string,
  edit: { labels?: readonly Label[] | undefined; note?: string | null | undefined; pinned?: boolean | undefined },
): Promise<RunRow> {
  const note =
    edit.note === undefined ? Prisma.sql`note` : Prisma.sql`${edit.note && requireStorable('the note', edit.note)}`
  const labels = edit.labels === undefined ? null : labelsJson(edit.labels)
  const [run] = await db.$queryRaw<RunRow[]>`
    WITH edited AS (
      UPDATE "Run" SET note = ${note}, pinned = coalesce(${edit.pinned ?? null}::boolean, pinned)
      WHERE id = ${requireRunId(id)}::uuid RETURNING *
    ), wanted AS (
      SELECT item.key, item.value FROM jsonb_to_recordset(${labels}::jsonb) AS item(key text, value text)
    ), removed AS (
      DELETE FROM "RunLabel" WHERE "runId" = (SELECT id FROM edited) AND ${labels !== null}::boolean
        AND key NOT IN (SELECT key FROM wanted)
    ), added AS (
      INSERT INTO "RunLabel" ("runId", key, value) SELECT edited.id, wanted.key, wanted.value FROM edited, wanted
      ON CONFLICT ("runId", key) DO UPDATE SET value = excluded.value
    )
    SELECT * FROM edited`
  if (!run) throw noSuchRun(id)
  return run
}

/**
 * How often a run is taken before it counts as the cause: an attempt that kills its worker process is found by the next
 * worker, and would go round for ever. Handing back does not count, and a retry by the user starts from 0.
 */
export const mostTakes = 10

export interface TakenRun extends Guard, RunQueue {
  /** as stored; to be parsed */
  spec: unknown
}

export type RunOutcome =
  | { status: 'SUCCEEDED'; environment: unknown; warnings: readonly Warning[]; keyFigure: number | null }
  | {
      status: 'FAILED'
      error: ErrorRecord
      /** the last lines the child printed */
      log: string | null
      environment?: unknown
      warnings?: readonly Warning[]
    }

/**
 * Starts the next attempt: QUEUED, or RUNNING with a worker that is gone, becomes RUNNING under `workerId`. Of several
 * workers one gets it, and a placed run goes to no other machine or worker than the one it is placed on, whatever became
 * of that. A run that has been taken too often without a result ends FAILED instead (WORKER_CRASHED): it is
 * here that every attempt passes.
 * @param staleBefore a worker last seen before this counts as gone; of the database's clock (see databaseTime)
 * @returns null where there is nothing to take
 */
export async function takeRun(
  db: Database,
  runId: string,
  workerId: string,
  staleBefore: Date,
): Promise<TakenRun | null> {
  const abandoned = Prisma.sql`run.status = 'RUNNING' AND NOT EXISTS (
    SELECT 1 FROM "Worker" AS worker
    WHERE worker.id = run."workerId" AND worker."lastSeen" >= ${staleBefore.toISOString()}::timestamptz)`
  const free = Prisma.sql`run.id = ${requireRunId(runId)}::uuid AND (run.status = 'QUEUED' OR (${abandoned}))
    AND ${placedFor(workerId)}`
  const [run] = await moveRuns(
    db,
    Prisma.sql`
      status = 'RUNNING', attempt = run.attempt + 1, takes = run.takes + 1, fraction = 0,
      "workerId" = ${workerId}::uuid, "startedAt" = clock_timestamp(), "finishedAt" = NULL,
      hostname = (SELECT hostname FROM "Worker" WHERE id = ${workerId}::uuid),
      environment = NULL, warnings = '[]', "keyFigure" = NULL,
      "errorCode" = NULL, "errorMessage" = NULL, "errorHint" = NULL, "errorLog" = NULL`,
    Prisma.sql`${free} AND run.takes < ${mostTakes}`,
    Prisma.sql`'attempt ' || attempt || coalesce(' on ' || hostname, '')`,
  )
  if (run) {
    const { id, attempt, device, placedHostname, placedWorkerId, spec } = run
    return { runId: id, attempt, device, placedHostname, placedWorkerId, spec }
  }
  await moveRuns(
    db,
    failure({
      code: 'WORKER_CRASHED',
      message: `${mostTakes} attempts in a row ended with the worker that made them`,
      hint: "Read the workers' logs: the run itself may be what ends them. Mend the cause, then retry the run.",
    }),
    Prisma.sql`${free} AND run.takes >= ${mostTakes}`,
    Prisma.sql`"errorMessage"`,
  )
  return null
}

/**
 * The last transaction of an attempt: status, environment, warnings, key figure or error, and the last event.
 * @returns false where the run is no longer this attempt's; then nothing was written
 */
export async function finishRun(db: Database, guard: Guard, outcome: RunOutcome): Promise<boolean> {
  const environment = outcome.environment === undefined ? null : storableJson('environment', outcome.environment)
  const results = Prisma.sql`
    environment = ${environment}::jsonb, warnings = ${storableJson('warnings', outcome.warnings ?? [])}::jsonb,
    hostname = coalesce(${environment}::jsonb ->> 'hostname', run.hostname), "workerId" = run."workerId"`
  const change =
    outcome.status === 'SUCCEEDED'
      ? Prisma.sql`${results}, status = 'SUCCEEDED', fraction = 1, "keyFigure" = ${outcome.keyFigure}::float8,
          "finishedAt" = clock_timestamp()`
      : Prisma.sql`${results}, ${failure(outcome.error, outcome.log)}`
  const message = outcome.status === 'FAILED' ? storableText(outcome.error.message) : null
  return (await moveRuns(db, change, isRunningAttempt(guard), message)).length > 0
}

/** RUNNING -> QUEUED, for a worker that stops. The run keeps its `queuedAt`: it has waited already. */
export async function handBackRun(db: Database, guard: Guard): Promise<boolean> {
  const change = Prisma.sql`
    status = 'QUEUED', fraction = 0, takes = greatest(run.takes - 1, 0), "workerId" = NULL, "startedAt" = NULL`
  return (await moveRuns(db, change, isRunningAttempt(guard), 'handed back')).length > 0
}

/**
 * QUEUED or RUNNING -> CANCELED at once; the worker finds its guard broken and ends its child. A run that has ended
 * stays as it is.
 * @returns the run as it is now
 * @throws AppError NOT_FOUND
 */
export async function cancelRun(db: Database, id: string): Promise<RunRow> {
  const [run] = await moveRuns(
    db,
    Prisma.sql`status = 'CANCELED', "finishedAt" = clock_timestamp()`,
    Prisma.sql`id = ${requireRunId(id)}::uuid AND status IN ('QUEUED', 'RUNNING')`,
    null,
  )
  return run ?? requireRun(db, id)
}

/**
 * FAILED or CANCELED -> QUEUED. `queuedAt` becomes now, so the run goes to the end of the queue, where its message goes
 * too, and others that have waited keep their places; when it was first submitted stays in its first event. What the
 * latest attempt stored remains to be read until the next one starts.
 * @returns the run, to be enqueued as attempt + 1
 * @throws AppError NOT_FOUND; RUN_NOT_RETRYABLE naming the status
 */
export async function retryRun(db: Database, id: string): Promise<RunRow> {
  const [run] = await moveRuns(
    db,
    Prisma.sql`
      status = 'QUEUED', takes = 0, fraction = 0, "queuedAt" = clock_timestamp(), "workerId" = NULL,
      "startedAt" = NULL, "finishedAt" = NULL,
      "errorCode" = NULL, "errorMessage" = NULL, "errorHint" = NULL, "errorLog" = NULL`,
    Prisma.sql`id = ${requireRunId(id)}::uuid AND status IN ('FAILED', 'CANCELED')`,
    'retry',
  )
  if (run) return run
  const { status } = await requireRun(db, id)
  throw new AppError(
    'RUN_NOT_RETRYABLE',
    `run ${id} is ${status}: only FAILED and CANCELED runs are retried`,
    status === 'SUCCEEDED' ? 'Submit the spec again without its idempotencyKey.' : 'Wait for it, or cancel it first.',
  )
}

/**
 * Ends the runs that have waited in a queue for `waitedMs` or longer.
 * @returns how many
 */
export async function failUnstarted(
  db: Database,
  queue: RunQueue,
  waitedMs: number,
  error: ErrorRecord,
): Promise<number> {
  const waited = Prisma.sql`run."queuedAt" <= now() - ${waitedMs} * interval '1 millisecond'`
  const runs = await moveRuns(
    db,
    failure(error),
    Prisma.sql`run.status = 'QUEUED' AND ${waitsIn(queue)} AND ${waited}`,
    storableText(error.message),
  )
  return runs.length
}

/** Whether the run is still RUNNING this attempt. */
export async function runStillMine(db: Queries, guard: Guard): Promise<boolean> {
  const rows = await db.$queryRaw<unknown[]>`SELECT 1 AS mine FROM "Run" WHERE ${isRunningAttempt(guard)}`
  return rows.length > 0
}

/** @throws AppError NOT_FOUND */
export async function requireRun(db: Queries, id: string): Promise<RunRow> {
  const run = await db.run.findUnique({ where: { id: requireRunId(id) } })
  if (run === null) throw noSuchRun(id)
  return run
}

function failure(error: ErrorRecord, log: string | null = null): Prisma.Sql {
  const text = (value: string | null) => (value === null ? null : storableText(value))
  return Prisma.sql`
    status = 'FAILED', "finishedAt" = clock_timestamp(), "errorCode" = ${error.code},
    "errorMessage" = ${text(error.message)}, "errorHint" = ${text(error.hint)}, "errorLog" = ${text(log)}`
}

function labelsJson(labels: readonly Label[]): string {
  const keys = labels.map(({ key }) => key)
  const twice = keys.find((key, index) => keys.indexOf(key) !== index)
  if (twice !== undefined) {
    throw new AppError('VALIDATION_FAILED', `the label ${JSON.stringify(twice)} is given twice`, 'Give each key once.')
  }
  return storableJson('a label', labels)
}
