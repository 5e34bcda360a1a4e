import type { SeriesComparisonResolvers } from '../../generated/graphql.ts'
import { minimumDetectableOf, pValueOf } from '../../stats/compare-series.ts'
import { defaultMargin } from '../../stats/verdict.ts'
import type { RequestContext } from '../context.ts'
import { compareRuns, type MeasuredRun } from '../presenters/comparison.ts'
import type { ComparedBenchmarks, RunRow } from '../rows.ts'
import type { CompareKind } from './compare-kind.ts'

/** Every series of benchmarks against the baseline's. */
export const compareBenchmarks: CompareKind<ComparedBenchmarks> = async (
  baseline,
  candidates,
  { metric, margin, force },
  context,
) => {
  const [measured, others] = await Promise.all([
    loadParts(baseline, context),
    Promise.all(candidates.map((run) => loadParts(run, context))),
  ])
  const options = { metric: metric ?? 'TIME', margin: margin ?? defaultMargin, force: force ?? false }
  return { kind: 'BENCHMARK', ...compareRuns(measured, others, options) }
}

/** A run's subjects and the series of its latest attempt. */
export async function loadParts(run: RunRow, { loaders }: RequestContext): Promise<MeasuredRun> {
  const [subjects, series] = await Promise.all([loaders.subjects.load(run.id), loaders.series.load(run.id)])
  return { run, subjects, series }
}

export const seriesComparison: SeriesComparisonResolvers = {
  baseline: ({ baseline }) => baseline?.row ?? null,
  candidate: ({ candidate }) => candidate?.row ?? null,
  test: ({ test }) => test || null,
  pValue: (row) => pValueOf(row),
  minimumDetectable: (row) => minimumDetectableOf(row),
  phase: ({ baseline, candidate }) => {
    const phase = (candidate ?? baseline)?.row.phase
    if (phase === undefined) throw new Error('a row of a comparison has neither side')
    return phase
  },
}
