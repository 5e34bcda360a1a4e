import type { RunRow } from '../../db/rows.ts'
import { noSuchRun } from '../../db/run-id.ts'
import { AppError } from '../../errors.ts'
import type { CompareRunsInput, SeriesComparisonResolvers } from '../../generated/graphql.ts'
import { defaultMargin } from '../../stats/verdict.ts'
import type { RequestContext } from '../context.ts'
import { checkComparison, compareRuns, type MeasuredRun } from '../presenters/comparison.ts'
import type { ComparisonParent } from '../rows.ts'

/** @throws AppError NOT_FOUND naming the first run that is not stored */
export async function resolveComparison(input: CompareRunsInput, context: RequestContext): Promise<ComparisonParent> {
  const margin = input.margin ?? defaultMargin
  checkComparison(input.candidates, margin)
  const baselineId = input.baseline.runId
  if (baselineId == null) throw new AppError('VALIDATION_FAILED', 'baseline names no run', 'Give its runId.')
  const [baseline, ...candidates] = await Promise.all(
    [baselineId, ...input.candidates].map((id) => loadMeasured(id, context)),
  )
  if (baseline === undefined) throw noSuchRun(baselineId)
  const compared = compareRuns(baseline, candidates, {
    metric: input.metric ?? 'TIME',
    margin,
    force: input.force ?? false,
  })
  return { baseline: baseline.run, candidates: candidates.map(({ run }) => run), ...compared }
}

async function loadMeasured(id: string, context: RequestContext): Promise<MeasuredRun> {
  const run = await context.loaders.runs.load(id)
  if (run === null) throw noSuchRun(id)
  return loadParts(run, context)
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
  phase: ({ baseline, candidate }) => {
    const phase = (candidate ?? baseline)?.row.phase
    if (phase === undefined) throw new Error('a row of a comparison has neither side')
    return phase
  },
}
