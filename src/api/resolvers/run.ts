import { readWarnings } from '../../db/results.ts'
import type {
  BenchmarkRunResolvers,
  NodeResolvers,
  SeriesResolvers,
  SubjectResolvers,
  SummaryResolvers,
} from '../../generated/graphql.ts'
import { findKeySeries } from '../../stats/key-series.ts'
import { median } from '../../stats/quantile.ts'
import { mean, medianInterval, standardDeviation } from '../../stats/summary.ts'
import { defaultMargin } from '../../stats/verdict.ts'
import type { RequestContext } from '../context.ts'
import { compareWithin } from '../presenters/comparison.ts'
import { environmentOf, errorOf, modelOf, weightDtypeOf } from '../presenters/run.ts'
import {
  kvShareOfBytes,
  predictionsOf,
  type SharesOfBounds,
  sharesOfBounds,
  tokensPerSecond,
} from '../presenters/series.ts'
import type { RunRow, StoredSeries, SubjectRow } from '../rows.ts'
import { loadParts } from './benchmark-comparison.ts'
import { checkPageSize } from './query.ts'
import { sweepFields } from './sweep.ts'

const typeNames = {
  BENCHMARK: 'BenchmarkRun',
  WEIGHT_SLICES: 'WeightSlicesRun',
  ATTENTION_MAPS: 'AttentionMapsRun',
} as const satisfies Record<RunRow['kind'], string>

/** For the interfaces Node and Run: which type a stored run has. */
export const runInterface: NodeResolvers = { __resolveType: ({ kind }) => typeNames[kind] }

/** The fields that every kind of run has. */
export const runFields = {
  labels: ({ id }, _args, { loaders }) => loaders.labels.load(id),
  subjects: ({ id }, _args, { loaders }) => loaders.subjects.load(id),
  queuePosition: ({ id, status }, _args, { loaders }) => (status === 'QUEUED' ? loaders.queuePositions.load(id) : null),
  events({ id }, { after, first }, { loaders }) {
    checkPageSize('first', first)
    return loaders.events(after ?? 0, first ?? 100).load(id)
  },
  placement: ({ placedHostname: hostname, placedWorkerId: workerId }) =>
    hostname === null && workerId === null ? null : { hostname, workerId },
  environment: (run) => environmentOf(run),
  error: (run) => errorOf(run),
} satisfies BenchmarkRunResolvers

export const benchmarkRun: BenchmarkRunResolvers = {
  ...runFields,
  ...sweepFields,
  series: ({ id }, _args, { loaders }) => loaders.series.load(id),
  keyFigure: async ({ id }, _args, { loaders }) => findKeySeries(await loaders.series.load(id)),
  comparison: async (run, { baseline, margin }, context) =>
    compareWithin(await loadParts(run, context), baseline ?? 0, margin ?? defaultMargin),
  warnings: ({ warnings }) => readWarnings(warnings),
}

export const subject: SubjectResolvers = {
  model: (row) => modelOf(row),
  dtype: ({ dtype }) => weightDtypeOf(dtype),
  computeDtype: ({ computeDtype }) => weightDtypeOf(computeDtype),
  // Caches keep what the graph computes: ours float32, an export's half-floats where it was exported so.
  kvDtype: ({ computeDtype }) => (computeDtype === 'F16' ? 'F16' : 'F32'),
}

async function subjectOf({ runId, subjectIndex }: StoredSeries, { loaders }: RequestContext): Promise<SubjectRow> {
  const found = (await loaders.subjects.load(runId)).find(({ index }) => index === subjectIndex)
  if (found === undefined) throw new Error(`run ${runId} has series of subject ${subjectIndex}, which it has not`)
  return found
}

async function sharesOf(row: StoredSeries, context: RequestContext): Promise<SharesOfBounds> {
  const [run, { device }] = await Promise.all([context.loaders.runs.load(row.runId), subjectOf(row, context)])
  return sharesOfBounds(row, device, run === null ? null : (environmentOf(run)?.bounds ?? null))
}

export const series: SeriesResolvers = {
  subject: (row, _args, context) => subjectOf(row, context),
  test: ({ test }) => test || null,
  summary: ({ samples, storedInterval }) => ({ samples, storedInterval }),
  tokensPerSecond: (row) => tokensPerSecond(row),
  kvShareOfBytes: (row) => kvShareOfBytes(row),
  shareOfBandwidthBound: async (row, _args, context) => (await sharesOf(row, context)).bandwidth,
  shareOfComputeBound: async (row, _args, context) => (await sharesOf(row, context)).compute,
  predictions: (row) => predictionsOf(row),
}

export const summary: SummaryResolvers = {
  count: ({ samples }) => samples.length,
  median: ({ samples }) => median(samples),
  mean: ({ samples }) => mean(samples),
  standardDeviation: ({ samples }) => standardDeviation(samples),
  minimum: ({ samples }) => Math.min(...samples),
  maximum: ({ samples }) => Math.max(...samples),
  interval: ({ samples, storedInterval }) => storedInterval ?? medianInterval(samples),
}
