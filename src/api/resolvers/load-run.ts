import { noSuchRun } from '../../db/run-id.ts'
import type { RequestContext } from '../context.ts'
import type { RunRow } from '../rows.ts'

/** @throws AppError NOT_FOUND */
export async function loadRun(id: string, { loaders }: RequestContext): Promise<RunRow> {
  const run = await loaders.runs.load(id)
  if (run === null) throw noSuchRun(id)
  return run
}
