import { describe, expect, it } from 'vitest'
import { readModelConfig } from '../../../src/architecture/read-config.ts'
import { estimatePlanned, predictPeak } from '../../../src/bench/estimate.ts'
import { type BenchmarkTest, benchmarkSpec } from '../../../src/jobs/spec.ts'

const raw = {
  ...{ model_type: 'mistral', num_hidden_layers: 3, num_attention_heads: 4, num_key_value_heads: 2, hidden_size: 32 },
  ...{ intermediate_size: 64, vocab_size: 99, max_position_embeddings: 4096 },
}
const spec = benchmarkSpec.parse({
  kind: 'BENCHMARK',
  version: 1,
  subjects: [{ source: { synthetic: { preset: 'gpt2' } } }],
})
const bytesPerRow = 3 * 2 * (8 + 8) * 4

function subjectOf(window: number | null, test: BenchmarkTest) {
  const config = readModelConfig({ ...raw, sliding_window: window }, 'windowed')
  const plan = { name: 'windowed', original: config, config, dtype: 'F32', stored: 'F32', exported: null } as const
  const [subject] = estimatePlanned({ ...spec, tests: [test] }, [plan]).subjects
  const peak = predictPeak([plan], { present: [0], done: [], cached: [test] })
  return { ...subject, peak }
}

describe('the memory of a windowed model', () => {
  it.each([
    // depth, tokens of the trial, rows in the ring, rows kept beside it
    [0, 8, 8, 0],
    [1000, 8, 100, 8],
    [1000, 400, 100, 100],
    [60, 70, 100, 30],
    [40, 30, 70, 0],
  ])('at depth %i with %i tokens is of %i rows and of %i that a trial loses', (depth, generatedTokens, ring, kept) => {
    const test = { depth, generatedTokens, promptTokens: 0, batch: 2 }
    const rows = 2 * (ring + kept) * bytesPerRow
    const windowed = subjectOf(100, test)
    expect(windowed.kvCache).toBe(rows)
    const whole = subjectOf(null, test)
    expect(whole.kvCache).toBe(2 * (depth + generatedTokens) * bytesPerRow)
    expect(whole.peak - windowed.peak).toBe((whole.kvCache ?? 0) - rows)
  })

  it('counts the scores of the rows that a step sees, and of its own tokens', () => {
    const test = { depth: 2000, promptTokens: 0, generatedTokens: 1, batch: 1 }
    const columns = 2001 - (100 + 512)
    expect((subjectOf(null, test).step ?? 0) - (subjectOf(100, test).step ?? 0)).toBe(3 * 4 * 512 * columns * 4)
  })
})
