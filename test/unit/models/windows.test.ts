import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readModelConfig } from '../../../src/architecture/read-config.ts'
import type { PlannedTest } from '../../../src/bench/plan.ts'
import { testTrial } from '../../../src/bench/trial.ts'
import { openCheckpoint } from '../../../src/checkpoints/open.ts'
import { captureAttention } from '../../../src/models/attention-capture.ts'
import { buildDecoder } from '../../../src/models/decoder.ts'
import type { ModelFamily } from '../../../src/models/family.ts'
import type { GraphCache } from '../../../src/models/kv-cache.ts'
import { loadModel, type RunnableModel } from '../../../src/models/runner.ts'
import { largestDifference } from '../../support/golden.ts'

const golden = resolve(import.meta.dirname, '../../golden')
/** Two ways to the same float32 sums differ by their order alone. */
const bound = 1e-5
const length = 260
const prompt = Array.from({ length }, (_, position) => (position * 13 + 5) % 67)

/** All layers slide; the upper two do. Rotary positions have no table that would end. */
describe.each([
  { folder: 'mistral/windowed', window: 5, longer: 70 },
  { folder: 'qwen2/upper_windows', window: 7, longer: 100 },
])('$folder', ({ folder, window, longer }) => {
  const models = new Map<number, RunnableModel<GraphCache>>()
  beforeAll(async () => {
    const checkpoint = await openCheckpoint(join(golden, folder))
    for (const size of [window, longer]) {
      const raw = { ...checkpoint.config, sliding_window: size }
      const config = { ...readModelConfig(raw, folder), contextLength: 400 }
      models.set(
        size,
        await loadModel(checkpoint, config, { provider: 'cpu', threads: 1, logits: 'all', attention: true }),
      )
    }
  })
  afterAll(() => Promise.all([...models.values()].map((model) => model.close())))

  function of(size: number): RunnableModel<GraphCache> {
    const model = models.get(size)
    if (!model) throw new Error(`no model has a window of ${size}`)
    return model
  }

  /** Logits, and the probabilities of every layer [heads, length, length], zero above the diagonal. */
  async function inPieces(model: RunnableModel<GraphCache>, pieces: readonly number[], reserve = 0) {
    const cache = model.createCache()
    cache.reserve(reserve)
    const logits: number[] = []
    const maps = model.config.attention.map(() => new Float32Array(model.config.heads * length ** 2))
    for (const count of pieces) {
      const from = cache.length
      const step = await model.forward([prompt.slice(from, from + count)], cache)
      logits.push(...step.data)
      for (const [layer, { data, dims }] of step.attention.entries()) {
        const [, heads, queries, keys] = dims
        expect([queries, keys]).toEqual([count, from + count])
        for (let row = 0; row < heads * queries; row++) {
          const to = (Math.floor(row / queries) * length + from + (row % queries)) * length
          maps[layer]?.set(data.subarray(row * keys, (row + 1) * keys), to)
        }
      }
    }
    return { logits, maps }
  }

  it.each([
    ['token by token', window, Array<number>(length).fill(1), 0],
    ['in pieces shorter and longer than the window', window, [3, 9, 1, 64, 2, 100, 1, 1, 79], 0],
    ['token by token, with a window longer than the cache grows at once', longer, Array<number>(length).fill(1), 0],
    ['in pieces, with such a window, beside spare rows', longer, [30, 1, 64, 5, 1, 128, 31], 380],
  ])('computes the same %s as in one piece', async (_, size, pieces, reserve) => {
    const whole = await inPieces(of(size), [length])
    const cut = await inPieces(of(size), pieces, reserve)
    expect(largestDifference(cut.logits, whole.logits) / Math.max(...whole.logits.map(Math.abs))).toBeLessThan(bound)
    for (const [layer, map] of whole.maps.entries()) {
      expect(largestDifference(cut.maps[layer] ?? [], map)).toBeLessThan(bound)
      const seen = of(size).config.attention[layer]?.window ?? length
      // Of the last query, so many keys are seen, and none before them.
      const last = map.subarray((length - 1) * length, length ** 2)
      expect(last.subarray(0, length - seen).every((share) => share === 0)).toBe(true)
      expect(last.subarray(length - seen).every((share) => share > 0)).toBe(true)
    }
  })

  it('hands captured rows out in the order of positions, in chunks as in one piece', async () => {
    const model = of(window)
    const whole = await inPieces(model, [length])
    const layers = model.config.attention.map((_, layer) => layer)
    let last = new Float32Array(0)
    await captureAttention(model, { prompt, generatedTokens: 0, chunk: 64, layers }, ({ layer, keys, data }) => {
      if (layer === layers.length - 1 && keys === length && data instanceof Float32Array) last = data.slice(-length)
    })
    expect(largestDifference(last, whole.maps.at(-1)?.slice(-length) ?? [])).toBeLessThan(bound)
  })

  it('goes back to the filled depth before every trial, whatever the trial wrote over', async () => {
    const model = of(window)
    const logits: number[][] = []
    const noting: RunnableModel<GraphCache> = {
      ...model,
      async forward(tokens, cache) {
        const step = await model.forward(tokens, cache)
        logits.push([...step.data])
        return step
      },
    }
    const test: PlannedTest = { phase: 'DECODE', test: '', promptTokens: 0, generatedTokens: 9, depth: 40, batch: 1 }
    const trial = testTrial(noting, test, 1, null)
    await trial.fill()
    const trials: number[][][] = []
    for (let run = 0; run < 3; run++) {
      trial.prepare()
      logits.length = 0
      await trial.run()
      trials.push([...logits])
    }
    expect(trials[0]).toHaveLength(9)
    expect(trials[1]).toEqual(trials[0])
    expect(trials[2]).toEqual(trials[0])
    const { kvCache, kvCachePredicted } = trial.observed()
    expect(kvCache).toBe(kvCachePredicted)
  })
})

it('refuses a bias by rows beside a window: a ring holds its rows in no order', async () => {
  const checkpoint = await openCheckpoint(join(golden, 'mistral/windowed'))
  const config = readModelConfig(checkpoint.config, 'windowed')
  const biased: ModelFamily = {
    family: 'mistral',
    check() {},
    hidden({ graph, tokens, attend }) {
      const spec = { heads: 1, kvHeads: 1, keyDim: 2, valueDim: 2, scale: 1, window: 5 }
      return attend(graph, 0, spec, { query: tokens, key: tokens, value: tokens, bias: tokens })
    },
    logits: (_, hidden) => hidden,
  }
  const options = { provider: 'cpu', logits: 'none', attention: false } as const
  expect(() => buildDecoder(biased, checkpoint, config, options)).toThrow('layer 0 has a window of 5 and a bias')
})
