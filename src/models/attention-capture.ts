import type { ModelConfig } from '../architecture/model-config.ts'
import { fixedRopeLength, ropeSwitch } from '../architecture/rope.ts'
import { AppError } from '../errors.ts'
import { argmax } from './generate.ts'
import type { Logits, RunnableModel } from './runner.ts'

/** Attention probabilities of the next queries of one layer, [heads, queries, keys] row-major. */
export interface CapturedRows {
  layer: number
  heads: number
  /** position of the first query */
  firstQuery: number
  queries: number
  /** keys so far: firstQuery + queries */
  keys: number
  /** ids of the sequence as far as the last query */
  tokens: readonly number[]
  /** half-floats as their bits where the graph rounds them */
  data: Float32Array | Uint16Array
}

export interface CaptureRequest {
  /** ids of the prompt, at least one */
  prompt: readonly number[]
  /** tokens made greedily after it; each is fed as well, so that its row is there too */
  generatedTokens: number
  /** tokens of the prompt a step, a multiple of 64 */
  chunk: number
  /** as the model was loaded to return them, ascending */
  layers: readonly number[]
}

/**
 * Runs a prompt in chunks over one K/V cache, so that never more than a chunk's rows of every layer are in memory, then
 * continues it. Rows are handed out layer after layer, chunk after chunk, while nothing is computed; the array given is
 * the receiver's, and nothing here refers to it any more.
 * @returns the whole sequence: the prompt and what was generated
 * @throws AppError CONTEXT_EXCEEDED before the first step, VALIDATION_FAILED, CHECKPOINT_INVALID where logits are no numbers
 */
export async function captureAttention(
  model: RunnableModel,
  { prompt, generatedTokens, chunk, layers }: CaptureRequest,
  onRows: (rows: CapturedRows) => Promise<void> | void,
): Promise<number[]> {
  const size = prompt.length + generatedTokens
  ensurePositions(model.config, prompt.length, generatedTokens)
  ensureOneTurning(model.config, prompt.length, generatedTokens, chunk)
  const cache = model.createCache(1, size)
  const tokens: number[] = []
  const step = async (next: readonly number[]): Promise<Logits> => {
    const firstQuery = cache.length
    const made = await model.forward([next], cache)
    tokens.push(...next)
    for (const layer of layers) {
      // Taken out, so that it can be collected as soon as the receiver is done with it.
      const probabilities = made.attention.shift()
      if (probabilities === undefined)
        throw new AppError('INTERNAL', `the graph returned no attention of layer ${layer}`)
      const [, heads, queries, keys] = probabilities.dims
      await onRows({ layer, heads, firstQuery, queries, keys, tokens, data: probabilities.data })
    }
    return made
  }

  let last: Logits | null = null
  for (let from = 0; from < prompt.length; from += chunk) last = await step(prompt.slice(from, from + chunk))
  for (let made = 0; made < generatedTokens && last !== null; made++) {
    last = await step([likeliest(last.data)])
  }
  return tokens
}

/** @throws AppError CHECKPOINT_INVALID where logits are no numbers: every sequence would go on with token 0 */
function likeliest(logits: Float32Array): number {
  const token = argmax(logits)
  const broken = logits.find((logit) => Number.isNaN(logit))
  if (broken === undefined && Number.isFinite(logits[token])) return token
  throw new AppError(
    'CHECKPOINT_INVALID',
    `the next token cannot be chosen: a logit is ${broken ?? logits[token]}`,
    'Weights that hold NaN or infinity give such logits: download the checkpoint again, or look at its weights.',
  )
}

/**
 * A prompt in pieces is turned by the lengths that it has piece by piece: by other angles than in one piece, where those
 * follow the length.
 * @throws AppError CONTEXT_EXCEEDED where it would be
 */
function ensureOneTurning(config: ModelConfig, prompt: number, generatedTokens: number, chunk: number): void {
  const fixed = fixedRopeLength(config)
  const inPieces = prompt > chunk && prompt > fixed
  const goesOver = prompt <= ropeSwitch(config) && prompt + generatedTokens > ropeSwitch(config)
  if (!inPieces && !goesOver) return
  throw new AppError(
    'CONTEXT_EXCEEDED',
    `${prompt} tokens and ${generatedTokens} to generate: ${config.name} turns all positions otherwise once there are more than ${fixed}, and its maps are recorded in pieces of ${chunk} tokens and one by one`,
    `Take at most ${fixed} tokens in all.`,
  )
}

/** @throws AppError CONTEXT_EXCEEDED where prompt and generated tokens are more than the model has positions */
function ensurePositions(config: ModelConfig, prompt: number, generatedTokens: number): void {
  if (prompt + generatedTokens <= config.contextLength) return
  const asked = generatedTokens === 0 ? `${prompt} tokens` : `${prompt} tokens and ${generatedTokens} to generate`
  throw new AppError(
    'CONTEXT_EXCEEDED',
    `${asked}: ${config.name} has ${config.contextLength} positions`,
    'Take a shorter prompt, generate fewer tokens, or choose a model with a longer context.',
  )
}
