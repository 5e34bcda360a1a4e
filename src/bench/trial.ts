import { kvCacheBytes } from '../architecture/kv-bytes.ts'
import { grownCapacity, type KvCache } from '../models/kv-cache.ts'
import type { RunnableModel } from '../models/runner.ts'
import type { Trial } from './measure.ts'
import { peakResidentBytes, restartPeak } from './memory.ts'
import { type PlannedTest, positionsOf, stepsOf } from './plan.ts'
import { seededTokens } from './tokens.ts'

/** Sizes seen after the trials of one subject in one test, in bytes. */
export interface ObservedBytes {
  /** of the cache that the last step was fed; null where that was empty, as for a prompt in one step */
  kvCache: number | null
  /** by the formula, for the tokens that the last step was fed; null where there were none */
  kvCachePredicted: number | null
  kvCacheAllocated: number
  peakMemory: number
}

export interface TestTrial extends Trial {
  /**
   * Fills the cache to the test's depth, unless it began so, by a real prefill; once, before any trial. What a trial
   * writes over in the rings of windows is kept beside them, so that each trial finds them as they were.
   */
  fill(): Promise<void>
  /** One untimed run that reaches whatever a trial reaches: a prompt whole, or the first few tokens of a decode. */
  warm(): Promise<void>
  /** The cache as `fill` left it, in memory of its own. */
  copyFilled(): KvCache
  observed(): ObservedBytes
}

/**
 * One test of one subject. Its cache is filled to the depth once, and cut back to it before each trial.
 *
 * A trial of a prompt ends when its last logits are there (time to first token). Its rows go into place when the next
 * step needs them, so for a decode the copying is timed where it happens: each step puts the rows of the one before in
 * place, and the trial ends when those of its last step are.
 *
 * A step computes over spare rows of the cache too, so every trial begins with the memory that a sequence of that depth
 * would have, whatever the trial before it grew to. A prompt's cache grows chunk by chunk inside the trial, as it does
 * for everyone who feeds it. A decode begins with room for its tokens, but for no more than one growth of the cache
 * gives: growing, which falls on few tokens, is then never timed more often than a long decode pays for it.
 * @param prompt tokens of the forward phase; null: seeded tokens of the test's size
 * @param filled a cache that another trial of this subject and test was filled with, which is copied: a prefill to a great
 * depth takes longer than the trial
 */
export function testTrial(
  model: RunnableModel,
  test: PlannedTest,
  seed: number,
  prompt: readonly number[] | null,
  filled: KvCache | null = null,
): TestTrial {
  const { depth, batch, promptTokens, generatedTokens } = test
  const length = positionsOf(test)
  const tokens = prompt === null ? seededTokens(seed, model.config.vocabularySize, batch, length) : [[...prompt]]
  const cache = filled?.copy() ?? model.createCache(batch)
  const rowsAtStart = promptTokens > 0 ? depth : depth + Math.min(generatedTokens, growthAt(depth))
  const timed = sliceSteps(tokens, depth, [...stepsOf(promptTokens), ...new Array<number>(generatedTokens).fill(1)])
  let peakMemory = 0

  const prepare = () => {
    cache.truncate(depth)
    cache.trim(rowsAtStart)
    cache.reserve(rowsAtStart)
    restartPeak()
  }
  const run = async (steps: readonly number[][][]) => {
    await forwardAll(model, cache, steps)
    if (generatedTokens > 0) cache.settle()
  }

  return {
    async fill() {
      await forwardAll(model, cache, sliceSteps(tokens, cache.length, stepsOf(depth - cache.length)))
      cache.keep(length - depth)
    },
    async warm() {
      prepare()
      await run(timed.slice(0, timed.length - Math.max(0, generatedTokens - warmingTokens)))
    },
    copyFilled() {
      cache.truncate(depth)
      return cache.copy()
    },
    prepare,
    run: () => run(timed),
    inspect() {
      peakMemory = Math.max(peakMemory, peakResidentBytes())
    },
    observed() {
      const { fedLength: contextLength, bitsPerValue } = cache
      const read = contextLength > 0
      return {
        kvCache: read ? cache.measuredBytes() : null,
        kvCachePredicted: read ? kvCacheBytes(model.config, { contextLength, batch, bitsPerValue }) : null,
        kvCacheAllocated: cache.allocatedBytes(),
        peakMemory,
      }
    },
  }
}

/** A step of decode reads all weights and the whole cache, so few warm whatever many would. */
const warmingTokens = 4

/** Rows that one growth adds to a cache whose memory is just full at that depth. */
function growthAt(depth: number): number {
  const full = grownCapacity(0, depth)
  return grownCapacity(full, full + 1) - full
}

/** Feeds steps of [batch][tokens] to the model, one after the other. */
export async function forwardAll(
  model: RunnableModel,
  cache: KvCache,
  steps: readonly (readonly number[])[][],
): Promise<void> {
  for (const step of steps) await model.forward(step, cache)
}

/** Cuts [batch][length] tokens into steps of the sizes given, from position `start` on; made before the clock runs. */
export function sliceSteps(
  tokens: readonly (readonly number[])[],
  start: number,
  sizes: readonly number[],
): number[][][] {
  let position = start
  return sizes.map((size) => {
    const step = tokens.map((sequence) => sequence.slice(position, position + size))
    position += size
    return step
  })
}
