import { AppError } from '../errors.ts'
import type { Database, Queries } from './client.ts'
import type { BaselineRow } from './rows.ts'
import { noSuchRun, requireRunId } from './run-id.ts'
import { requireStorable } from './stored-text.ts'

/** So many names there may be: a list of them has no pages. */
const mostBaselines = 1000

/** How many names an error lists. */
const namesTold = 20

/**
 * Lets a name stand for a run; one that is taken moves to it. Only a run that SUCCEEDED can be one: it has all of its
 * results, and keeps them, as it is never run again.
 * @throws AppError NOT_FOUND; CONFLICT naming the run's status; LIMIT_EXCEEDED where there are too many names
 */
export async function setBaseline(db: Database, name: string, runId: string): Promise<BaselineRow> {
  const [baseline] = await db.$queryRaw<BaselineRow[]>`
    INSERT INTO "Baseline" (name, "runId", "setAt")
    SELECT ${requireStorable('the name', name)}, id, clock_timestamp() FROM "Run"
    WHERE id = ${requireRunId(runId)}::uuid AND status = 'SUCCEEDED'
      AND ((SELECT count(*) FROM "Baseline") < ${mostBaselines} OR EXISTS (SELECT 1 FROM "Baseline" WHERE name = ${name}))
    FOR KEY SHARE
    ON CONFLICT (name) DO UPDATE SET "runId" = excluded."runId", "setAt" = excluded."setAt"
    RETURNING name, "runId"::text, "setAt"`
  if (baseline) return baseline
  const run = await db.run.findUnique({ where: { id: runId }, select: { status: true } })
  if (run === null) throw noSuchRun(runId)
  if (run.status === 'SUCCEEDED') {
    throw new AppError('LIMIT_EXCEEDED', `there are ${mostBaselines} baselines already`, 'Remove one, or move one.')
  }
  throw new AppError(
    'CONFLICT',
    `run ${runId} is ${run.status}: a baseline is a run that SUCCEEDED`,
    'Wait until it ends, or name another run.',
  )
}

/**
 * Frees a name.
 * @returns the id of the run that it stood for
 * @throws AppError NOT_FOUND naming the names that there are
 */
export async function removeBaseline(db: Database, name: string): Promise<string> {
  const [removed] = await db.$queryRaw<{ runId: string }[]>`
    DELETE FROM "Baseline" WHERE name = ${requireStorable('the name', name)} RETURNING "runId"::text`
  if (removed === undefined) throw await noSuchBaseline(db, name)
  return removed.runId
}

/** All of them, by name. */
export function findBaselines(db: Queries): Promise<BaselineRow[]> {
  return db.baseline.findMany({ orderBy: { name: 'asc' } })
}

/**
 * The id of the run that a name stands for.
 * @throws AppError NOT_FOUND naming the names that there are
 */
export async function requireBaseline(db: Queries, name: string): Promise<string> {
  const baseline = await db.baseline.findUnique({ where: { name: requireStorable('the name', name) } })
  if (baseline === null) throw await noSuchBaseline(db, name)
  return baseline.runId
}

async function noSuchBaseline(db: Queries, name: string): Promise<AppError> {
  const known = await db.baseline.findMany({ orderBy: { name: 'asc' }, take: namesTold + 1, select: { name: true } })
  const names = known.slice(0, namesTold).map((baseline) => JSON.stringify(baseline.name))
  const hint =
    names.length === 0
      ? 'There are none; the mutation setBaseline makes one.'
      : `There ${names.length === 1 ? 'is' : 'are'} ${names.join(', ')}${known.length > namesTold ? ' and more' : ''}.`
  return new AppError('NOT_FOUND', `no baseline has the name ${JSON.stringify(name.slice(0, 100))}`, hint)
}
