import type { ModelConfig } from '../architecture/model-config.ts'
import { AppError } from '../errors.ts'

/**
 * Refuses layers and heads that a model does not have.
 * @param asked null: none in particular
 * @throws AppError VALIDATION_FAILED
 */
export function checkHeads(
  asked: { layers: readonly number[] | null; heads: readonly number[] | null },
  name: string,
  config: Pick<ModelConfig, 'layers' | 'heads'>,
): void {
  for (const [word, indices, count] of [
    ['layer', asked.layers, config.layers],
    ['head', asked.heads, config.heads],
  ] as const) {
    const stranger = indices?.find((index) => index >= count)
    if (stranger === undefined) continue
    throw new AppError(
      'VALIDATION_FAILED',
      `${word} ${stranger} of ${name}: it has ${count}, numbered from 0`,
      `Ask for ${word}s from 0 to ${count - 1}.`,
    )
  }
}
