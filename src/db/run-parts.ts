import type { Queries } from './client.ts'
import type { RunLabelRow, RunRow, SubjectRow } from './rows.ts'
import { isRunId } from './run-id.ts'

/** Runs by id; an id that is no run's, or no id at all, is left out. */
export async function findRuns(db: Queries, ids: readonly string[]): Promise<Map<string, RunRow>> {
  const rows = await db.run.findMany({ where: { id: { in: ids.filter(isRunId) } } })
  return new Map(rows.map((row) => [row.id, row]))
}

/** The labels of each run, by key. */
export async function findLabels(db: Queries, runIds: readonly string[]): Promise<Map<string, RunLabelRow[]>> {
  const rows = await db.runLabel.findMany({ where: { runId: { in: runIds.filter(isRunId) } }, orderBy: { key: 'asc' } })
  return groupByRun(runIds, rows)
}

/** The subjects of each run, by index. */
export async function findSubjects(db: Queries, runIds: readonly string[]): Promise<Map<string, SubjectRow[]>> {
  const rows = await db.subject.findMany({
    where: { runId: { in: runIds.filter(isRunId) } },
    orderBy: { index: 'asc' },
  })
  return groupByRun(runIds, rows)
}

/** The run that each worker is at. */
export async function findRunsOfWorkers(db: Queries, workerIds: readonly string[]): Promise<Map<string, RunRow>> {
  const rows = await db.run.findMany({
    where: { status: 'RUNNING', workerId: { in: workerIds.filter(isRunId) } },
    orderBy: { startedAt: 'asc' },
  })
  return new Map(rows.flatMap((row) => (row.workerId === null ? [] : [[row.workerId, row]])))
}

function groupByRun<T extends { runId: string }>(runIds: readonly string[], rows: readonly T[]): Map<string, T[]> {
  const found = new Map<string, T[]>(runIds.map((id) => [id, []]))
  for (const row of rows) found.get(row.runId)?.push(row)
  return found
}
