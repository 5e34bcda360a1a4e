import { AppError } from '../errors.ts'
import { checkHeads } from './check-heads.ts'
import { checkWeightSlices } from './check-weight-slices.ts'
import type { AttentionMapsSpec, RunSpec } from './spec.ts'
import { checkContext, checkRunnable, type PlannedSubject } from './subjects.ts'

/**
 * Refuses what a spec and its subjects' configurations show to be impossible, before anything is queued.
 * @throws AppError CONFIG_UNSUPPORTED, CONTEXT_EXCEEDED, LIMIT_EXCEEDED, VALIDATION_FAILED
 */
export function checkSpec(spec: RunSpec, subjects: readonly PlannedSubject[]): void {
  switch (spec.kind) {
    case 'BENCHMARK':
      checkRunnable(subjects)
      checkContext(subjects, spec.tests)
      break
    case 'WEIGHT_SLICES':
      // Weights that are there are read as they are, also of families without a graph; the others the engine makes.
      checkRunnable(subjects.filter(({ spec: { source, convert } }) => 'synthetic' in source || convert !== null))
      for (const { spec: subject, config } of subjects) checkWeightSlices(spec, subject.name, config)
      break
    case 'ATTENTION_MAPS':
      checkRunnable(subjects)
      for (const { spec: subject, config } of subjects) checkHeads(spec, subject.name, config)
      checkTokens(spec, subjects)
  }
}

function checkTokens(spec: AttentionMapsSpec, subjects: readonly PlannedSubject[]): void {
  const tokens = (spec.tokenIds?.length ?? 1) + spec.generatedTokens
  for (const { spec: subject, config } of subjects) {
    if (tokens > config.contextLength) {
      throw new AppError(
        'CONTEXT_EXCEEDED',
        `${tokens} tokens, and ${subject.name} has a context of ${config.contextLength}`,
        'Take fewer tokens, generate fewer, or choose a model with a longer context.',
      )
    }
    const stranger = spec.tokenIds?.find((id) => id >= config.vocabularySize)
    if (stranger !== undefined) {
      throw new AppError(
        'VALIDATION_FAILED',
        `token id ${stranger} is not one of the ${config.vocabularySize} that ${subject.name} knows`,
        "Encode the text with the model's own tokenizer.",
      )
    }
  }
}
