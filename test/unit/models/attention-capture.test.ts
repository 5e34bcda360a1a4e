import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ModelConfig } from '../../../src/architecture/model-config.ts'
import { readModelConfig } from '../../../src/architecture/read-config.ts'
import type { Checkpoint } from '../../../src/checkpoints/checkpoint.ts'
import { openCheckpoint } from '../../../src/checkpoints/open.ts'
import { type CaptureRequest, captureAttention } from '../../../src/models/attention-capture.ts'
import type { AttentionCapture } from '../../../src/models/decoder.ts'
import { generateGreedy } from '../../../src/models/generate.ts'
import { loadModel, type RunnerOptions } from '../../../src/models/runner.ts'
import { decodeHalves, encodeHalves } from '../../../src/render/half-float.ts'
import { largestDifference } from '../../support/golden.ts'

const folder = join(resolve(import.meta.dirname, '../../golden'), 'llama/gqa')
let checkpoint: Checkpoint
let config: ModelConfig
beforeAll(async () => {
  checkpoint = await openCheckpoint(folder)
  const read = readModelConfig(checkpoint.config, 'gqa')
  // Rotary positions have no table that would end: more of them need no more weights.
  config = { ...read, contextLength: 400 }
})

const prompt = Array.from({ length: 150 }, (_, position) => (position * 13 + 5) % 48)

interface Maps {
  tokens: number[]
  /** by layer: [heads, size, size], zero above the diagonal */
  layers: Map<number, Float32Array>
  /** layer, first query and queries of each piece, in the order given */
  pieces: [number, number, number][]
}

async function capture(
  attention: Partial<AttentionCapture> & Pick<AttentionCapture, 'layers'>,
  request: Partial<CaptureRequest> = {},
  options: Partial<RunnerOptions> = {},
): Promise<Maps> {
  const model = await loadModel(checkpoint, config, {
    ...{ provider: 'cpu', threads: 1, ...options },
    attention: { heads: null, type: 'float32', ...attention },
  })
  const whole = { prompt, generatedTokens: 0, chunk: 64, layers: attention.layers, ...request }
  const size = whole.prompt.length + whole.generatedTokens
  const layers = new Map<number, Float32Array>()
  const pieces: [number, number, number][] = []
  try {
    const tokens = await captureAttention(
      model,
      whole,
      ({ layer, heads, firstQuery, queries, keys, data, ...rows }) => {
        pieces.push([layer, firstQuery, queries])
        expect(rows.tokens).toHaveLength(keys)
        const map = layers.get(layer) ?? new Float32Array(heads * size * size)
        layers.set(layer, map)
        const values = data instanceof Float32Array ? data : decodeHalves(data)
        for (let row = 0; row < heads * queries; row++) {
          const to = (Math.floor(row / queries) * size + firstQuery + (row % queries)) * size
          map.set(values.subarray(row * keys, (row + 1) * keys), to)
        }
      },
    )
    return { tokens, layers, pieces }
  } finally {
    await model.close()
  }
}

describe('captured attention', () => {
  let whole: Maps
  beforeAll(async () => {
    whole = await capture({ layers: [0, 1] }, { chunk: 192 })
  })

  it('in chunks is that in one piece', async () => {
    expect(whole.pieces).toEqual([
      [0, 0, 150],
      [1, 0, 150],
    ])
    const chunked = await capture({ layers: [0, 1] })
    expect(chunked.pieces).toEqual(
      [0, 64, 128].flatMap((first) => [0, 1].map((layer) => [layer, first, Math.min(64, 150 - first)])),
    )
    for (const layer of [0, 1]) {
      expect(largestDifference(chunked.layers.get(layer) ?? [], whole.layers.get(layer) ?? [])).toBeLessThan(1e-5)
    }
  })

  it('is of the layers and heads asked for only', async () => {
    const some = await capture({ layers: [1], heads: [3, 0] })
    expect([...some.layers.keys()]).toEqual([1])
    const size = prompt.length ** 2
    const head = (index: number) => whole.layers.get(1)?.subarray(index * size, (index + 1) * size) ?? []
    const picked = some.layers.get(1) ?? new Float32Array(0)
    expect(largestDifference(picked.subarray(0, size), head(3))).toBeLessThan(1e-5)
    expect(largestDifference(picked.subarray(size), head(0))).toBeLessThan(1e-5)
  })

  it('is rounded in the graph as half-floats are: to nearest, ties to even', async () => {
    const [exact, rounded] = [await capture({ layers: [1] }), await capture({ layers: [1], type: 'float16' })]
    const expected = decodeHalves(encodeHalves(exact.layers.get(1) ?? new Float32Array(0)))
    expect(rounded.layers.get(1)).toEqual(expected)
  })

  it('of lower layers is the same where the layers above are not run, and logits are not computed', async () => {
    const lower = await capture({ layers: [0] }, {}, { logits: 'none', layers: 1 })
    expect(largestDifference(lower.layers.get(0) ?? [], whole.layers.get(0) ?? [])).toBeLessThan(1e-5)
  })

  it('goes on with the tokens that greedy generation makes, the last one included', async () => {
    const made = await capture({ layers: [1] }, { generatedTokens: 5 })
    const model = await loadModel(checkpoint, config, { provider: 'cpu', threads: 1 })
    const greedy: number[] = []
    for await (const token of generateGreedy(model, prompt, 5)) greedy.push(token)
    await model.close()
    expect(made.tokens).toEqual([...prompt, ...greedy])
    const given = await capture({ layers: [1] }, { prompt: made.tokens })
    expect(largestDifference(made.layers.get(1) ?? [], given.layers.get(1) ?? [])).toBeLessThan(1e-5)
  })

  it('is refused before the first step where the context is too short', async () => {
    const pieces: number[] = []
    const model = await loadModel(checkpoint, config, { provider: 'cpu', threads: 1, attention: true })
    afterAll(() => model.close())
    const request = { prompt, generatedTokens: 251, chunk: 64, layers: [0, 1] }
    const refused = captureAttention(model, request, () => void pieces.push(1))
    await expect(refused).rejects.toMatchObject({
      code: 'CONTEXT_EXCEEDED',
      message: expect.stringContaining('150 tokens and 251 to generate: gqa has 400 positions'),
    })
    expect(pieces).toEqual([])
  })

  it.each([
    ['dynamic scaling in pieces', { type: 'dynamic', factor: 9 }, 150, 0, 64, false],
    ['dynamic scaling in one piece', { type: 'dynamic', factor: 9 }, 150, 3, 192, true],
    ['dynamic scaling within the trained length', { type: 'dynamic', factor: 9 }, 100, 0, 64, true],
    ['LongRoPE that goes over while tokens are made', 'longrope', 126, 5, 192, false],
    ['LongRoPE in pieces', 'longrope', 150, 0, 64, false],
    ['LongRoPE by its long factors alone', 'longrope', 150, 3, 192, true],
  ] as const)('by %s is recorded only where it is that in one piece', async (...row) => {
    const [, kind, length, generatedTokens, chunk, recorded] = row
    const longrope = {
      type: 'longrope',
      short_factor: [1, 1],
      long_factor: [2, 3],
      original_max_position_embeddings: 128,
    }
    const scaling = kind === 'longrope' ? longrope : kind
    const raw = { ...checkpoint.config, max_position_embeddings: 128, rope_parameters: scaling }
    const stretched = { ...readModelConfig(raw, 'gqa'), contextLength: 400 }
    const model = await loadModel(checkpoint, stretched, { provider: 'cpu', threads: 1, attention: true })
    const request = { prompt: prompt.slice(0, length), generatedTokens, chunk, layers: [0, 1] }
    const recording = captureAttention(model, request, () => {}).finally(() => model.close())
    if (recorded) expect(await recording).toHaveLength(length + generatedTokens)
    else await expect(recording).rejects.toMatchObject({ code: 'CONTEXT_EXCEEDED' })
  })
})
