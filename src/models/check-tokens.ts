import type { ModelConfig } from '../architecture/model-config.ts'
import { AppError } from '../errors.ts'
import type { KvCache } from './kv-cache.ts'

/**
 * Refuses what a step cannot take after the tokens of its cache, before a runtime reads beyond a table.
 * @returns the number of tokens of each sequence
 * @throws AppError VALIDATION_FAILED, CONTEXT_EXCEEDED
 */
export function checkTokens(
  tokens: readonly (readonly number[])[],
  cache: Pick<KvCache, 'batch' | 'length'>,
  config: Pick<ModelConfig, 'name' | 'vocabularySize' | 'contextLength'>,
): number {
  const count = tokens[0]?.length ?? 0
  if (tokens.length !== cache.batch || count === 0 || tokens.some((sequence) => sequence.length !== count)) {
    throw new AppError(
      'VALIDATION_FAILED',
      `sequences of ${tokens.map((sequence) => sequence.length).join(', ') || 'no'} tokens for a cache of batch ${cache.batch}`,
      'Give every sequence of the batch the same number of tokens, at least one.',
    )
  }
  const stranger = tokens.flat().find((id) => !Number.isInteger(id) || id < 0 || id >= config.vocabularySize)
  if (stranger !== undefined) {
    throw new AppError(
      'VALIDATION_FAILED',
      `token id ${stranger} is not one of the vocabulary's ${config.vocabularySize}`,
      "Encode the text with the model's own tokenizer.",
    )
  }
  if (cache.length + count > config.contextLength) {
    throw new AppError(
      'CONTEXT_EXCEEDED',
      `${cache.length} cached and ${count} new tokens: ${config.name} has ${config.contextLength} positions`,
      'Take fewer tokens or a model with a longer context.',
    )
  }
  return count
}
