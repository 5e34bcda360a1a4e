import { ropeSwitch } from '../architecture/rope.ts'
import { AppError } from '../errors.ts'
import type { RunnableModel } from './runner.ts'

/** Index of the largest value; the lowest index where several are equal. */
export function argmax(values: Float32Array): number {
  let best = 0
  let most = values[0] ?? Number.NEGATIVE_INFINITY
  for (let index = 1; index < values.length; index++) {
    const value = values[index] ?? Number.NEGATIVE_INFINITY
    if (value > most) {
      most = value
      best = index
    }
  }
  return best
}

/**
 * Continues a prompt greedily, one token id at a time, until `count` are made or one of `stopIds` is (which is not
 * given out). Where LongRoPE goes over to its long factors all cached keys are turned wrongly: there the whole sequence is
 * computed anew, once, as transformers does for Phi-3.
 * @throws AppError CONTEXT_EXCEEDED before the first token, if the last would not fit; VALIDATION_FAILED
 */
export async function* generateGreedy(
  model: RunnableModel,
  prompt: readonly number[],
  count: number,
  stopIds: ReadonlySet<number> = new Set(),
): AsyncGenerator<number, void, void> {
  // The last token is given out, never fed.
  const positions = prompt.length + count - 1
  if (positions > model.config.contextLength) {
    throw new AppError(
      'CONTEXT_EXCEEDED',
      `${prompt.length} tokens of prompt and ${count} to generate: ${model.config.name} has ${model.config.contextLength} positions`,
      'Ask for fewer tokens or take a model with a longer context.',
    )
  }
  const turnedUpTo = ropeSwitch(model.config)
  let cache = model.createCache()
  const fed = [...prompt]
  for (let made = 0; made < count; made++) {
    if (cache.length > 0 && cache.length <= turnedUpTo && fed.length > turnedUpTo) cache = model.createCache()
    const logits = await model.forward([fed.slice(cache.length)], cache)
    const token = argmax(lastPosition(logits.data, logits.dims[2]))
    if (stopIds.has(token)) return
    yield token
    fed.push(token)
  }
}

function lastPosition(data: Float32Array, vocabulary: number): Float32Array {
  return data.subarray(data.length - vocabulary)
}
