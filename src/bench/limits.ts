import type { ModelConfig } from '../architecture/model-config.ts'
import { AppError } from '../errors.ts'
import type { BenchmarkSpec } from '../jobs/spec.ts'
import { testName } from '../jobs/spec-names.ts'
import { estimatePlanned, type ResourceEstimate } from './estimate.ts'
import { type AvailableMemory, availableMemory } from './memory.ts'
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
 * Whether all subjects are loaded at once, or one after the other in every block: because it was asked for, or as `message`
 * says. `apart` says why the points of a sweep are timed one after the other all the same; `keepCaches`, that there is
 * memory to keep what every block fills its caches with.
 */
export type Loading = { inTurn: false; apart?: string } | { inTurn: true; message: string | null; keepCaches: boolean }

/**
 * How the subjects can be loaded with the memory there is: together with all caches of a sweep, else with one test's, else
 * in turn; in turn too where the spec says so.
 * @param prompts tokens of the prompt for each subject, once they are known
 * @throws AppError OUT_OF_MEMORY with the arithmetic, where one alone does not fit
 */
export function planLoading(
  spec: BenchmarkSpec,
  plans: readonly SubjectPlan[],
  available: AvailableMemory,
  prompts: readonly (number | null)[] = [],
): Loading {
  const estimate = estimatePlanned(spec, plans, prompts)
  const keepCaches = estimate.inTurnKeptBytes <= available.bytes
  if ((spec.reload ?? plans.length > 1) && estimate.inTurnBytes <= available.bytes) {
    return { inTurn: true, message: null, keepCaches }
  }
  if (estimate.sweptBytes <= available.bytes) return { inTurn: false }
  if (estimate.memoryBytes <= available.bytes) {
    return {
      inTurn: false,
      apart: `with a K/V cache for every point of the sweep the run needs about ${gigabytes(estimate.sweptBytes)}, and ${gigabytes(available.bytes)} are left by the ${available.bound}: its tests were timed one after the other, with ${gigabytes(estimate.memoryBytes)}`,
    }
  }
  if (plans.length === 1 || estimate.inTurnBytes > available.bytes) throw outOfMemory(estimate, available)
  return {
    inTurn: true,
    keepCaches,
    message: `together the subjects need about ${gigabytes(estimate.memoryBytes)} (${partsOf(estimate)}), and ${gigabytes(available.bytes)} are left by the ${available.bound}: each block loaded them in turn, the largest alone needing ${gigabytes(estimate.inTurnBytes)}`,
  }
}

/**
 * Refuses subjects that cannot be loaded together, before a weight is.
 * @throws AppError OUT_OF_MEMORY with the arithmetic
 */
export function ensureMemory(spec: BenchmarkSpec, plans: readonly SubjectPlan[], available = availableMemory()): void {
  const estimate = estimatePlanned(spec, plans)
  if (estimate.memoryBytes > available.bytes) throw outOfMemory(estimate, available)
}

function outOfMemory(estimate: ResourceEstimate, available: AvailableMemory): AppError {
  const alone = estimate.subjects.length > 1 ? `, the largest alone ${gigabytes(estimate.inTurnBytes)}` : ''
  return new AppError(
    'OUT_OF_MEMORY',
    `the run needs about ${gigabytes(estimate.memoryBytes)} (${partsOf(estimate)})${alone}, and ${gigabytes(available.bytes)} are left by the ${available.bound}`,
    'Take a smaller model, a smaller depth or batch, a shorter prompt, or free memory.',
  )
}

function partsOf({ subjects }: ResourceEstimate): string {
  return subjects
    .map(
      ({ name, weights, kvCache, step }) =>
        `${name} ${gigabytes(weights)} of weights + ${gigabytes(kvCache)} of K/V cache + ${gigabytes(step)} in a step`,
    )
    .join('; ')
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(2)} GB`
}
