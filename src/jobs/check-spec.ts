import { AppError } from '../errors.ts'
import type { AttentionMapsSpec, RunSpec, WeightSlicesSpec } from './spec.ts'
import { checkContext, type PlannedSubject } from './subjects.ts'

/**
 * Refuses what a spec and its subjects' configurations show to be impossible, before anything is queued.
 * @throws AppError CONTEXT_EXCEEDED, VALIDATION_FAILED
 */
export function checkSpec(spec: RunSpec, subjects: readonly PlannedSubject[]): void {
  switch (spec.kind) {
    case 'BENCHMARK':
      checkContext(subjects, spec.tests)
      break
    case 'WEIGHT_SLICES':
      checkHeads(spec, subjects)
      break
    case 'ATTENTION_MAPS':
      checkHeads(spec, subjects)
      checkTokens(spec, subjects)
  }
}

/** Refuses layers and heads that a model does not have. */
function checkHeads(spec: WeightSlicesSpec | AttentionMapsSpec, subjects: readonly PlannedSubject[]): void {
  for (const { spec: subject, config } of subjects) {
    for (const [word, asked, count] of [
      ['layer', spec.layers, config.layers],
      ['head', spec.heads, config.heads],
    ] as const) {
      const stranger = asked?.find((index) => index >= count)
      if (stranger === undefined) continue
      throw new AppError(
        'VALIDATION_FAILED',
        `${word} ${stranger} of ${subject.name}: it has ${count}, numbered from 0`,
        `Ask for ${word}s from 0 to ${count - 1}.`,
      )
    }
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
