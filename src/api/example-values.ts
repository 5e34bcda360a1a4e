import { hostname } from 'node:os'
import { findMapOutline } from '../db/attention-maps.ts'
import { findBaselines } from '../db/baselines.ts'
import type { Database } from '../db/client.ts'
import { findSeries } from '../db/results.ts'
import type { RunRow } from '../db/rows.ts'
import type { RunFilter } from '../db/run-filter.ts'
import { pageRuns } from '../db/run-pages.ts'
import { findSubjects } from '../db/run-parts.ts'

/** What an example may name instead of a value, since runs and their names differ from database to database. */
export const exampleNames = [
  'NEWEST_RUN',
  'NEWEST_FINISHED_RUN',
  'OLDER_FINISHED_RUN',
  'NEWEST_WAITING_RUN',
  'NEWEST_FAILED_RUN',
  'HAS_FAILED_RUN',
  'NEWEST_WEIGHT_SLICES_RUN',
  'NEWEST_ATTENTION_MAPS_RUN',
  'NEWEST_LAYER',
  'NEWEST_SWEEP_RUN',
  'NEWEST_BASELINE',
  'NEWEST_SUBJECT',
  'NEWEST_PHASE',
  'NEWEST_TEST',
  'NEWEST_HOSTNAME',
] as const
export type ExampleName = (typeof exampleNames)[number]
export type ExampleValues = Record<ExampleName, unknown>

/** Stands where the database has no such run: a valid id that nothing has. */
const nobody = '00000000-0000-4000-8000-000000000000'

/** What stands in the examples where nothing is stored, or nothing of it may be told. */
export const emptyExampleValues: ExampleValues = {
  NEWEST_RUN: nobody,
  NEWEST_FINISHED_RUN: nobody,
  OLDER_FINISHED_RUN: nobody,
  NEWEST_WAITING_RUN: nobody,
  NEWEST_FAILED_RUN: nobody,
  HAS_FAILED_RUN: false,
  NEWEST_WEIGHT_SLICES_RUN: nobody,
  NEWEST_ATTENTION_MAPS_RUN: nobody,
  NEWEST_LAYER: 0,
  NEWEST_SWEEP_RUN: nobody,
  NEWEST_BASELINE: { runId: nobody },
  NEWEST_SUBJECT: 'gpt2',
  NEWEST_PHASE: 'DECODE',
  NEWEST_TEST: 'tg8 @ d512',
  NEWEST_HOSTNAME: 'localhost',
}

/**
 * What the stored runs make of the names, so that every example works as it stands: where there is but one finished run
 * it is compared with itself, and where none waits the newest, which stays as it is, is canceled.
 */
export async function newestExampleValues(db: Database): Promise<ExampleValues> {
  const newest = async (first: number, filter: RunFilter): Promise<RunRow[]> => {
    const { edges } = await pageRuns(db, { first, filter })
    return edges.map(({ node }) => node)
  }
  const [[any], [finished, older], [waiting], [failed], [slices], [maps], [sweep], baselines] = await Promise.all([
    newest(1, {}),
    // They are compared, as benchmarks are.
    newest(2, { status: ['SUCCEEDED'], kind: 'BENCHMARK' }),
    newest(1, { status: ['QUEUED', 'RUNNING'] }),
    newest(1, { status: ['FAILED', 'CANCELED'] }),
    newest(1, { status: ['SUCCEEDED'], kind: 'WEIGHT_SLICES' }),
    newest(1, { status: ['SUCCEEDED'], kind: 'ATTENTION_MAPS' }),
    // As the example that starts one labels it.
    newest(1, { status: ['SUCCEEDED'], labels: [{ key: 'example', value: 'sweep' }] }),
    findBaselines(db),
  ])
  const [layer, series] = await Promise.all([newestLayer(db, maps), keySeries(db, finished)])
  const newestBaseline = baselines.toSorted((a, b) => b.setAt.getTime() - a.setAt.getTime())[0]
  return {
    ...emptyExampleValues,
    ...(any && { NEWEST_RUN: any.id, NEWEST_WAITING_RUN: waiting?.id ?? any.id }),
    ...(finished && {
      NEWEST_FINISHED_RUN: finished.id,
      OLDER_FINISHED_RUN: older?.id ?? finished.id,
      NEWEST_SWEEP_RUN: sweep?.id ?? finished.id,
      NEWEST_BASELINE:
        newestBaseline === undefined ? { runId: older?.id ?? finished.id } : { name: newestBaseline.name },
    }),
    ...(failed && { NEWEST_FAILED_RUN: failed.id, HAS_FAILED_RUN: true }),
    ...(slices && { NEWEST_WEIGHT_SLICES_RUN: slices.id }),
    ...(maps && { NEWEST_ATTENTION_MAPS_RUN: maps.id, NEWEST_LAYER: layer }),
    ...series,
    NEWEST_HOSTNAME: finished?.hostname ?? hostname(),
  }
}

async function newestLayer(db: Database, run: RunRow | undefined): Promise<number> {
  if (run === undefined) return 0
  return (await findMapOutline(db, [run.id])).get(run.id)?.layers.at(-1) ?? 0
}

/** The first subject's last series, which is its decode at the greatest depth where it has one. */
async function keySeries(db: Database, run: RunRow | undefined): Promise<Partial<ExampleValues>> {
  if (run === undefined) return {}
  const [subjects, series] = await Promise.all([findSubjects(db, [run.id]), findSeries(db, [run.id])])
  const [first] = subjects.get(run.id) ?? []
  const last = series
    .get(run.id)
    ?.filter(({ subjectIndex }) => subjectIndex === first?.index)
    .at(-1)
  if (first === undefined || last === undefined) return {}
  return { NEWEST_SUBJECT: first.name, NEWEST_PHASE: last.phase, NEWEST_TEST: last.test === '' ? null : last.test }
}
