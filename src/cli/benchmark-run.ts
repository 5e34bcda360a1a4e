import { AppError } from '../errors.ts'
import {
  BenchmarkComparisonDocument,
  type BenchmarkComparisonQuery,
  BenchmarkRunDocument,
  type BenchmarkRunQuery,
} from '../generated/operations.ts'
import { defaultMargin } from '../stats/verdict.ts'
import type { ApiClient } from './client.ts'
import { fetchEvents, type StoredEvent } from './run-events.ts'

type QueriedRun = Extract<NonNullable<BenchmarkRunQuery['run']>, { series: unknown }>
type QueriedComparison = Extract<
  NonNullable<BenchmarkComparisonQuery['run']>,
  { comparison: unknown }
>['comparison'][number]
type QueriedSeries = QueriedRun['series'][number]

export type Subject = QueriedRun['subjects'][number]
export type Series = Omit<QueriedSeries, 'subject'> & { subject: Subject }
export type SeriesComparison = Omit<QueriedComparison, 'baseline' | 'candidate'> & {
  baseline: Series | null
  candidate: Series | null
}

/** A BenchmarkRun of the public schema with all its fields, every Series and Subject written out where it is named. */
export type BenchmarkRun = Omit<QueriedRun, 'series' | 'keyFigure'> & {
  events: StoredEvent[]
  series: Series[]
  keyFigure: Series | null
  comparison: SeriesComparison[]
}

interface SeriesName {
  subject: { index: number }
  phase: string
  test: string | null
}

/**
 * Reads a whole run through the API. Subjects and series are asked for once and put in wherever the schema repeats them:
 * asked for in full everywhere, a run of many subjects would cost more than the server allows.
 * @param margin of the verdicts between its subjects
 * @throws AppError NOT_FOUND
 */
export async function fetchBenchmarkRun(client: ApiClient, id: string, margin = defaultMargin): Promise<BenchmarkRun> {
  const { run } = await client.request(BenchmarkRunDocument, { id })
  if (run === null || !('series' in run)) {
    throw new AppError('NOT_FOUND', `No run has the id ${id}`, 'List the runs with: kvscope runs')
  }
  const complete = (series: QueriedSeries): Series => {
    const subject = run.subjects.find((each) => each.index === series.subject.index)
    if (subject === undefined) throw new AppError('INTERNAL', `Run ${id} has no subject ${series.subject.index}`)
    return { ...series, subject }
  }
  const series = run.series.map(complete)
  const find = (name: SeriesName | null): Series | null =>
    series.find(
      (each) =>
        name !== null &&
        each.subject.index === name.subject.index &&
        each.phase === name.phase &&
        each.test === name.test,
    ) ?? null
  const named = (of: { subject: { index: number } } | null, row: QueriedComparison) =>
    find(of === null ? null : { subject: of.subject, phase: row.phase, test: row.test })

  const compared = await client.request(BenchmarkComparisonDocument, { id, baseline: 0, margin })
  const rows = compared.run !== null && 'comparison' in compared.run ? compared.run.comparison : []
  return {
    ...run,
    events: await fetchEvents(client, id),
    series,
    keyFigure: find(run.keyFigure),
    comparison: rows.map((row) => ({
      ...row,
      baseline: named(row.baseline, row),
      candidate: named(row.candidate, row),
    })),
  }
}
