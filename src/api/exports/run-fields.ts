import { execute, parse } from 'graphql'
import type { RunRow } from '../../db/rows.ts'
import { AppError } from '../../errors.ts'
import { createRequestContext } from '../context.ts'
import type { ExportServices, RunFields } from './run-contents.ts'
import { runDocument } from './run-document.ts'

const document = parse(runDocument)

interface SeriesName {
  subject: { index: number }
  phase: string
  test: string | null
}

/**
 * The run as GraphQL shows it: the same resolvers answer, so that an export never says otherwise. Subjects and series are
 * asked for once, and put in wherever the schema repeats them.
 * @throws AppError NOT_FOUND where the run is gone, or is at another attempt than `run`
 */
export async function readRunFields({ schema, ...services }: ExportServices, run: RunRow): Promise<RunFields> {
  // What a list may cost is a limit of requests; an export is complete.
  const contextValue = { ...createRequestContext(services, null), values: { spend: () => undefined } }
  const result = await execute({ schema, document, variableValues: { id: run.id }, contextValue })
  const [error] = result.errors ?? []
  if (error !== undefined) throw error.originalError ?? error
  const fields: RunFields | null = Object(result.data).run ?? null
  if (fields === null || fields.attempt !== run.attempt) {
    throw new AppError('NOT_FOUND', `attempt ${run.attempt} of run ${run.id} is gone: a newer one has begun`)
  }
  return run.kind === 'BENCHMARK' ? completeSeries(fields) : fields
}

/** Writes every series out where the run names it, as clients that ask for all of BenchmarkRun get it. */
function completeSeries(fields: RunFields): RunFields {
  const subjects = listOf<{ index: number }>(fields.subjects)
  const series = listOf<SeriesName>(fields.series).map((one) => ({
    ...one,
    subject: subjects.find(({ index }) => index === one.subject.index),
  }))
  const find = (name: SeriesName | null) =>
    series.find(
      (one) =>
        name !== null &&
        one.subject?.index === name.subject.index &&
        one.phase === name.phase &&
        one.test === name.test,
    ) ?? null
  const comparison = listOf<{ baseline: SeriesName | null; candidate: SeriesName | null }>(fields.comparison).map(
    (row) => ({ ...row, baseline: find(row.baseline), candidate: find(row.candidate) }),
  )
  const fits = listOf<{ subject: { index: number } }>(fields.fits).map((fit) => ({
    ...fit,
    subject: subjects.find(({ index }) => index === fit.subject.index),
  }))
  const [keyFigure = null] = listOf<SeriesName>([fields.keyFigure].filter((one) => one !== null))
  return { ...fields, series, keyFigure: find(keyFigure), fits, comparison }
}

/** A list of the result, whose form the document decides. */
function listOf<Item>(value: unknown): Item[] {
  return Array.isArray(value) ? value : []
}
