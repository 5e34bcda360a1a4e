import { randomIndex, seededRandom } from '../stats/random.ts'

/**
 * The tokens that tests feed: seeded, uniform over the vocabulary, the same for every subject of one vocabulary. Decode
 * takes its next token from here too and not from the logits, as llama-bench does: choosing is no part of the model, so
 * it is not timed, and every subject does the same work whatever its weights prefer.
 * @returns [batch][length]
 */
export function seededTokens(seed: number, vocabularySize: number, batch: number, length: number): number[][] {
  return Array.from({ length: batch }, (_, sequence) => {
    const random = seededRandom(seed + sequence)
    return Array.from({ length }, () => randomIndex(random, vocabularySize))
  })
}
