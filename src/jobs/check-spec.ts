import { checkAttentionMaps } from './check-attention-maps.ts'
import { checkWeightSlices } from './check-weight-slices.ts'
import type { RunSpec } from './spec.ts'
import { checkContext, checkRunnable, type PlannedSubject } from './subjects.ts'

/**
 * Refuses what a spec and its subjects' configurations show to be impossible, before anything is queued.
 * @param maxResultBytes what one run about heads may store
 * @throws AppError CONFIG_UNSUPPORTED, CONTEXT_EXCEEDED, LIMIT_EXCEEDED, VALIDATION_FAILED
 */
export function checkSpec(spec: RunSpec, subjects: readonly PlannedSubject[], maxResultBytes: number): void {
  switch (spec.kind) {
    case 'BENCHMARK':
      checkRunnable(subjects)
      checkContext(subjects, spec.tests)
      break
    case 'WEIGHT_SLICES':
      // Weights that are there are read as they are, also of families without a graph; the others the engine makes.
      checkRunnable(subjects.filter(({ spec: { source, convert } }) => 'synthetic' in source || convert !== null))
      for (const { spec: subject, config } of subjects) checkWeightSlices(spec, subject.name, config, maxResultBytes)
      break
    case 'ATTENTION_MAPS':
      checkRunnable(subjects)
      for (const { spec: subject, config } of subjects) checkAttentionMaps(spec, subject.name, config, maxResultBytes)
  }
}
