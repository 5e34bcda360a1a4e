import type { ModelConfig } from '../architecture/model-config.ts'
import { AppError } from '../errors.ts'
import { diversityPrompts } from '../heads/prompts.ts'
import { levelCount, storedAs, storedBytes } from '../render/attention-tiles.ts'
import { checkHeads } from './check-heads.ts'
import type { AttentionMapsSpec } from './spec.ts'

/** Which maps a spec comes to for a model, lengths aside; all ascending. */
export interface PlannedMaps {
  layers: number[]
  /** whose maps are stored */
  heads: number[]
}

/** @throws AppError VALIDATION_FAILED for a layer or head that is not there */
export function planMaps(spec: AttentionMapsSpec, name: string, config: ModelConfig): PlannedMaps {
  checkHeads(spec, name, config)
  const ascending = (indices: readonly number[]) => indices.toSorted((a, b) => a - b)
  return {
    layers: ascending(spec.layers ?? [config.layers - 1]),
    heads: ascending(spec.heads ?? Array.from({ length: config.heads }, (_, head) => head)),
  }
}

/**
 * Refuses what a spec on attention maps shows to be impossible without a tokenizer: a text counts as one token.
 * @param maxBytes what one run may store
 * @throws AppError CONTEXT_EXCEEDED, LIMIT_EXCEEDED, VALIDATION_FAILED
 */
export function checkAttentionMaps(spec: AttentionMapsSpec, name: string, config: ModelConfig, maxBytes: number): void {
  const maps = planMaps(spec, name, config)
  const stranger = spec.tokenIds?.find((id) => id >= config.vocabularySize)
  if (stranger !== undefined) {
    throw new AppError(
      'VALIDATION_FAILED',
      `token id ${stranger} is not one of the ${config.vocabularySize} that ${name} knows`,
      "Encode the text with the model's own tokenizer.",
    )
  }
  const lengths = spec.tokenIds === null ? (spec.prompts ?? diversityPrompts).map(() => 1) : [spec.tokenIds.length]
  for (const [prompt, length] of lengths.entries()) checkPositions(prompt, length, spec.generatedTokens, name, config)
  checkStoredBytes(
    maps,
    lengths.map((length) => length + spec.generatedTokens),
    name,
    maxBytes,
  )
}

/**
 * Refuses a prompt that is too long with what is to be generated: every token of both takes a position.
 * @throws AppError CONTEXT_EXCEEDED
 */
export function checkPositions(
  prompt: number,
  length: number,
  generatedTokens: number,
  name: string,
  config: Pick<ModelConfig, 'contextLength'>,
): void {
  if (length + generatedTokens <= config.contextLength) return
  const generated = generatedTokens === 0 ? '' : ` and ${generatedTokens} to generate`
  throw new AppError(
    'CONTEXT_EXCEEDED',
    `prompt ${prompt} has ${length} tokens${generated}, and ${name} has a context of ${config.contextLength}`,
    'Shorten it, generate fewer tokens, or choose a model with a longer context.',
  )
}

/**
 * Refuses maps that would take more of the database than one run may.
 * @param sizes tokens of each prompt's maps
 * @throws AppError LIMIT_EXCEEDED with the arithmetic
 */
export function checkStoredBytes(
  { layers, heads }: PlannedMaps,
  sizes: readonly number[],
  name: string,
  maxBytes: number,
): void {
  const ofMaps = sizes.map((size) => storedBytes(size))
  const bytes = layers.length * heads.length * ofMaps.reduce((sum, one) => sum + one, 0)
  if (bytes <= maxBytes) return
  const longest = Math.max(...sizes)
  const number = (value: number) => value.toLocaleString('en')
  throw new AppError(
    'LIMIT_EXCEEDED',
    `attention maps of ${name}: ${layers.length} layers x ${heads.length} heads x ${sizes.length} prompts (the longest of ${number(longest)} tokens: ${number(storedBytes(longest))} B a map, ${storedAs(longest)} in ${levelCount(longest)} levels and an overview) are ${number(bytes)} B, and a run may store ${number(maxBytes)} B`,
    'Ask for fewer layers, heads or tokens, or in several runs, or raise KVSCOPE_MAX_RESULT_BYTES.',
  )
}
