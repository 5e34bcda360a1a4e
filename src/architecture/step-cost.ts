import { expectedTensors } from './expected-tensors.ts'
import { valuesPerToken } from './kv-values.ts'
import type { AttentionShape, ExpectedTensor, ModelConfig } from './model-config.ts'
import { usedShare } from './routed-experts.ts'

/** What a test asks of a model, in tokens of each sequence. */
export interface CostedTest {
  /** in the cache beforehand */
  depth: number
  /** processed in steps of at most `tokensPerStep` */
  promptTokens: number
  /** processed one by one */
  generatedTokens: number
  batch: number
}

export interface CostOptions {
  tokensPerStep: number
  /** as the engine holds them; 4 by default */
  bytesPerWeight?: number
  bytesPerCached?: number
}

/** What one trial must read and compute at the least. */
export interface TrialCost {
  /** weights once a step, and the filled rows of the K/V cache */
  bytesRead: number
  /** the K/V part of them */
  kvBytesRead: number
  /** a multiplication and an addition counted apart */
  flops: number
}

/**
 * Bytes that one trial reads and floating-point operations that it takes, at the least.
 *
 * Reading, once a step whatever the number of its tokens (Pope et al. 2022, "Efficiently Scaling Transformer Inference",
 * section 2; Williams et al. 2009, "Roofline"):
 *   weights   every tensor whole, but for tables that are looked up: of those one row a token. The table of a tied head
 *             is the matrix of the logits and is read whole. Of a layer's experts those of one token: exactly so in decode of
 *             one sequence, and the least where a step has more tokens, which may all choose the same
 *   K/V       the rows filled before the step, of every sequence: kv-bytes' formula at that length
 *
 * Computing, as matrix products only (Kaplan et al. 2020, table 1; Chowdhery et al. 2022, "PaLM", appendix B):
 *   weights   2 for each value of a matrix and token, of experts of those chosen; the head for the last token of a step
 *             alone
 *   attention 2 x heads x (key dim + value dim) for each pair of a new token and a token before it or beside it, whose
 *             scores are computed in full and then masked; 2 x heads x (2 rank + rope) where that token is a cached latent
 * Norms, softmax, biases and activations are left out: below 1 % of a model of any size.
 */
export function trialCost(config: ModelConfig, test: CostedTest, options: CostOptions): TrialCost {
  const { tokensPerStep, bytesPerWeight = 4, bytesPerCached = 4 } = options
  const { depth, promptTokens, generatedTokens, batch } = test
  const weights = weightsOf(config)
  const promptSteps = Math.ceil(promptTokens / tokensPerStep)
  const steps = promptSteps + generatedTokens
  const tokens = (promptTokens + generatedTokens) * batch

  let keyRows = 0
  let pairs = 0
  for (const shape of config.attention) {
    const perToken = valuesPerToken(shape)
    const wide = config.heads * (shape.keyDim + shape.valueDim)
    // A cached latent is met as it is, once as a key and once as a value (DeepSeek-AI 2024, DeepSeek-V2, section 2.1.2).
    const { latent } = shape
    const wideOfPast = latent === null ? wide : config.heads * (2 * latent.rank + latent.ropeDim)
    for (let start = 0; start < promptTokens; start += tokensPerStep) {
      const size = Math.min(tokensPerStep, promptTokens - start)
      const past = Math.min(depth + start, shape.window ?? Number.POSITIVE_INFINITY)
      keyRows += perToken * past
      pairs += size * (wideOfPast * past + wide * size)
    }
    const past = sumOfPasts(shape, depth + promptTokens, generatedTokens)
    keyRows += perToken * past
    pairs += wideOfPast * past + wide * generatedTokens
  }

  const kvBytesRead = keyRows * batch * bytesPerCached
  const weightValues = steps * weights.whole + tokens * weights.rowOfTables
  return {
    bytesRead: weightValues * bytesPerWeight + kvBytesRead,
    kvBytesRead,
    flops: 2 * (weights.matrices * tokens + weights.head * steps * batch + pairs * batch),
  }
}

interface WeightCounts {
  /** values read in every step; of experts those that one token chooses */
  whole: number
  /** values read of looked-up tables for each token */
  rowOfTables: number
  /** values of matrices that every token is multiplied by */
  matrices: number
  /** values of the matrix of the logits */
  head: number
}

/** Tables that are looked up by token or by position, in the hub's names of all families. */
const tokenTable = /(^|\.)(wte|word_embeddings|embed_tokens|embed_in)\.weight$/
const positionTable = /(^|\.)wpe\.weight$/
const outputHead = /(^|\.)(lm_head|embed_out)\.weight$/

function weightsOf(config: ModelConfig): WeightCounts {
  const counts: WeightCounts = { whole: 0, rowOfTables: 0, matrices: 0, head: 0 }
  for (const tensor of expectedTensors(config)) {
    const values = tensor.shape.reduce((product, size) => product * size, 1) * usedShare(tensor)
    if (isLookedUp(tensor, config)) {
      counts.rowOfTables += tensor.shape.at(-1) ?? 0
      continue
    }
    counts.whole += values
    if (outputHead.test(tensor.name) || tokenTable.test(tensor.name)) counts.head += values
    else if (tensor.shape.length > 1) counts.matrices += values
  }
  // Shares of experts are fractions; the experts of a layer together are whole.
  return { ...counts, whole: Math.round(counts.whole), matrices: Math.round(counts.matrices) }
}

function isLookedUp({ name }: ExpectedTensor, { tiedEmbeddings }: ModelConfig): boolean {
  return positionTable.test(name) || (tokenTable.test(name) && !tiedEmbeddings)
}

/** Tokens that `count` steps of one token each look back at together, the first of them at `from`; a window caps each. */
function sumOfPasts({ window }: AttentionShape, from: number, count: number): number {
  const growing = window === null ? count : Math.min(count, Math.max(0, window - from))
  const sum = growing * from + (growing * (growing - 1)) / 2
  return sum + (count - growing) * (window ?? 0)
}
