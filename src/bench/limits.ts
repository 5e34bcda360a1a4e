import type { ModelConfig } from '../architecture/model-config.ts'
import { AppError } from '../errors.ts'
import type { BenchmarkSpec } from '../jobs/spec.ts'
import { testName } from '../jobs/spec-names.ts'
import { estimatePlanned } from './estimate.ts'
import { availableMemory } from './memory.ts'
import { positionsOf } from './plan.ts'
import type { SubjectPlan } from './subject-config.ts'

/**
 * Refuses tests that reach beyond a model's positions.
 * @throws AppError CONTEXT_EXCEEDED
 */
export function ensureTestsFit(spec: BenchmarkSpec, plans: readonly Pick<SubjectPlan, 'name' | 'config'>[]): void {
  for (const test of spec.tests) {
    for (const { name, config } of plans) {
      const positions = positionsOf(test)
      if (positions <= config.contextLength) continue
      throw new AppError(
        'CONTEXT_EXCEEDED',
        `${testName(test)} takes ${positions} positions (depth ${test.depth} + prompt ${test.promptTokens} + generated ${test.generatedTokens}), and ${name} has ${config.contextLength}`,
        'Take a smaller test, or a model with a longer context.',
      )
    }
  }
}

/**
 * Refuses a prompt that is empty or too long once tokenized, or whose ids the model has no embedding for.
 * @throws AppError CONTEXT_EXCEEDED, VALIDATION_FAILED, CHECKPOINT_INVALID
 */
export function ensurePromptFits(name: string, config: ModelConfig, tokens: readonly number[]): void {
  if (tokens.length === 0) {
    throw new AppError('VALIDATION_FAILED', `the prompt has no tokens for ${name}`, 'Give a prompt with some text.')
  }
  if (tokens.length > config.contextLength) {
    throw new AppError(
      'CONTEXT_EXCEEDED',
      `the prompt has ${tokens.length} tokens for ${name}, which has ${config.contextLength} positions`,
      'Shorten the prompt.',
    )
  }
  const foreign = tokens.find((token) => token >= config.vocabularySize)
  if (foreign !== undefined) {
    throw new AppError(
      'CHECKPOINT_INVALID',
      `the tokenizer of ${name} gives token ${foreign}, beyond its vocabulary of ${config.vocabularySize}`,
      'The tokenizer belongs to another model: put the right tokenizer.json beside the weights.',
    )
  }
}

/**
 * Refuses a run that needs more memory than there is, before a weight is loaded.
 * @param prompts tokens of the prompt for each subject, once they are known
 * @throws AppError OUT_OF_MEMORY with the arithmetic
 */
export function ensureMemory(
  spec: BenchmarkSpec,
  plans: readonly SubjectPlan[],
  available = availableMemory(),
  prompts: readonly (number | null)[] = [],
): void {
  const { memoryBytes, subjects } = estimatePlanned(spec, plans, prompts)
  if (memoryBytes <= available.bytes) return
  const parts = subjects.map(
    ({ name, weights, kvCache, step }) =>
      `${name} ${gigabytes(weights)} of weights + ${gigabytes(kvCache)} of K/V cache + ${gigabytes(step)} in a step`,
  )
  throw new AppError(
    'OUT_OF_MEMORY',
    `the run needs about ${gigabytes(memoryBytes)} (${parts.join('; ')}), and ${gigabytes(available.bytes)} are left by the ${available.bound}`,
    'Take fewer or smaller subjects, a smaller depth or batch, a shorter prompt, or free memory.',
  )
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(2)} GB`
}
