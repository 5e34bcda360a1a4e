import type { BenchmarkSpecInput } from '../../src/jobs/spec.ts'

/** GPT-2 so small that a whole benchmark of it takes a fraction of a second. */
export const tinyOverrides = { n_layer: 2, n_embd: 32, n_head: 4, vocab_size: 101, n_positions: 128 }
export const tinySource = { synthetic: { preset: 'gpt2', seed: 1, overrides: tinyOverrides } }

/** Two subjects, loaded once, prefill and decode: LOAD of each comes first, so there are six series in several writes. */
export function tinySpec(overrides: Partial<BenchmarkSpecInput> = {}): BenchmarkSpecInput {
  return {
    kind: 'BENCHMARK',
    version: 1,
    subjects: [
      { source: tinySource, threads: 1 },
      { source: tinySource, threads: 1, convert: { kvHeads: 1 } },
    ],
    tests: [{ promptTokens: 16 }, { generatedTokens: 16, depth: 8 }],
    blocks: 40,
    reload: false,
    ...overrides,
  }
}

/** How many series a finished run of tinySpec has: LOAD and two tests of two subjects. */
export const tinySeries = 6

/**
 * The same with trials for two seconds in each test, however busy the machine is: whoever learns of a block finds
 * the run still in the midst of them.
 */
export function manyTrialsSpec(): BenchmarkSpecInput {
  return tinySpec({ blocks: 1000, maxSeconds: 2 })
}

/** A run that would take about half a minute: something to stop. */
export function longSpec(): BenchmarkSpecInput {
  return tinySpec({ tests: [{ generatedTokens: 110, depth: 8 }], blocks: 1000 })
}
