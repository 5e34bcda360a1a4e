import { requireBaseline } from '../../db/baselines.ts'
import { AppError } from '../../errors.ts'
import type { BaselineRefInput, CompareRunsInput, ComparisonResolvers } from '../../generated/graphql.ts'
import { defaultMargin } from '../../stats/verdict.ts'
import type { RequestContext } from '../context.ts'
import { checkComparison } from '../presenters/comparison.ts'
import type { Compared, ComparisonParent, RunRow } from '../rows.ts'
import { compareBenchmarks } from './benchmark-comparison.ts'
import type { CompareKind } from './compare-kind.ts'
import { compareDiversities } from './diversity-comparison.ts'
import { loadRun } from './load-run.ts'
import { compareWeightSlices } from './slice-comparison.ts'

/** One function a kind of run. */
const kinds: Record<RunRow['kind'], CompareKind<Compared>> = {
  BENCHMARK: compareBenchmarks,
  WEIGHT_SLICES: compareWeightSlices,
  ATTENTION_MAPS: compareDiversities,
}

const typeNames = {
  BENCHMARK: 'BenchmarkComparison',
  WEIGHT_SLICES: 'WeightSlicesComparison',
  ATTENTION_MAPS: 'DiversityComparison',
} as const satisfies Record<Compared['kind'], string>

export const comparison: ComparisonResolvers = { __resolveType: ({ kind }) => typeNames[kind] }

/**
 * Runs against a baseline, as their kind is compared. A candidate of another kind has no rows, and `reasons` says so.
 * @throws AppError NOT_FOUND naming the first run, or the baseline, that is not stored, VALIDATION_FAILED, LIMIT_EXCEEDED
 */
export async function resolveComparison(input: CompareRunsInput, context: RequestContext): Promise<ComparisonParent> {
  checkComparison(input.candidates, input.margin ?? defaultMargin)
  const baselineId = await readReference(input.baseline, context)
  const [baseline, candidates] = await Promise.all([
    loadRun(baselineId, context),
    Promise.all(input.candidates.map((id) => loadRun(id, context))),
  ])
  const alike = candidates.filter(({ kind }) => kind === baseline.kind)
  const reasons = candidates
    .filter(({ kind }) => kind !== baseline.kind)
    .map(({ id, kind }) => `kind differs: ${baseline.kind} in the baseline, ${kind} in run ${id}`)
  const compared = await kinds[baseline.kind](baseline, alike, input, context)
  return { ...compared, baseline, candidates, reasons: [...reasons, ...compared.reasons] }
}

/** The id of the run that is meant. */
async function readReference({ runId, name }: BaselineRefInput, { db }: RequestContext): Promise<string> {
  if (name != null) return requireBaseline(db, name.trim())
  if (runId != null) return runId
  throw new AppError('VALIDATION_FAILED', 'baseline names no run', 'Give its runId or its name.')
}
