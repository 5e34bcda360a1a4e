import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { PlannedTest } from '../../../src/bench/plan.ts'
import { testTrial } from '../../../src/bench/trial.ts'
import type { GraphCache } from '../../../src/models/kv-cache.ts'
import { loadModel, type RunnableModel } from '../../../src/models/runner.ts'
import { openSynthetic } from '../../../src/models/synthetic.ts'

let dataDir: string
let model: RunnableModel<GraphCache>
beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'kvscope-trial-'))
  const overrides = { n_layer: 1, n_embd: 32, n_head: 4, vocab_size: 101, n_positions: 2048 }
  const { checkpoint, config } = await openSynthetic({ preset: 'gpt2', seed: 1, overrides }, dataDir)
  model = await loadModel(checkpoint, config, { provider: 'cpu', threads: 1 })
})
afterAll(async () => {
  await model.close()
  await rm(dataDir, { recursive: true })
})

/** The model with caches that note how many rows, filled or spare, each step was fed. */
function noting(rows: number[]): RunnableModel<GraphCache> {
  const note = (cache: GraphCache): GraphCache => ({
    ...cache,
    get length() {
      return cache.length
    },
    get capacity() {
      return cache.capacity
    },
    get fedLength() {
      return cache.fedLength
    },
    feeds() {
      const fed = cache.feeds()
      rows.push(fed.mask.dims[3] ?? Number.NaN)
      return fed
    },
    copy: () => note(cache.copy()),
  })
  return { ...model, createCache: (batch) => note(model.createCache(batch)) }
}

function testOf(sizes: Partial<PlannedTest>): PlannedTest {
  return { phase: 'DECODE', test: '', promptTokens: 0, generatedTokens: 0, depth: 0, batch: 1, ...sizes }
}

/** Rows fed in each step of the first, second and third trial. */
async function rowsFed(sizes: Partial<PlannedTest>): Promise<number[][]> {
  const rows: number[] = []
  const trial = testTrial(noting(rows), testOf(sizes), 1, null)
  await trial.fill()
  const trials: number[][] = []
  for (let run = 0; run < 3; run += 1) {
    trial.prepare()
    rows.length = 0
    await trial.run()
    trials.push([...rows])
    trial.inspect()
  }
  return trials
}

/** Rows fed in each step to a sequence that nobody times, in steps of so many tokens. */
async function rowsOfSequence(steps: readonly number[]): Promise<number[]> {
  const rows: number[] = []
  const free = noting(rows)
  const cache = free.createCache()
  for (const tokens of steps) await free.forward([new Array<number>(tokens).fill(7)], cache)
  return rows
}
const inEveryTrial = (rows: number[]) => [rows, rows, rows]

describe('the rows that the steps of a trial compute over', () => {
  it('are those of the chunks before for a prompt in chunks, in the first trial and in later ones', async () => {
    expect(await rowsFed({ promptTokens: 1100 })).toEqual(inEveryTrial([0, 512, 1024]))
  })
  it('are those of the depth for a prompt at a depth', async () => {
    expect(await rowsFed({ promptTokens: 100, depth: 512 })).toEqual(inEveryTrial([512]))
  })
  it('leave room for a short decode at any depth, so that no growth is timed', async () => {
    for (const depth of [9, 60, 512]) {
      const [first, ...later] = await rowsFed({ generatedTokens: 8, depth })
      const [rows = 0] = first ?? []
      expect(first).toEqual(new Array<number>(8).fill(rows))
      expect(later).toEqual([first, first])
      expect(rows).toBeGreaterThanOrEqual(depth + 8)
      expect(rows).toBeLessThan(depth + 8 + 64)
    }
  })
  it('grow in a long decode as they do for any sequence', async () => {
    const rows = await rowsOfSequence(new Array<number>(200).fill(1))
    expect(new Set(rows).size).toBeGreaterThan(3)
    expect(await rowsFed({ generatedTokens: 200 })).toEqual(inEveryTrial(rows))
  })
  it('are the same where the cache was filled by another trial', async () => {
    const sizes = { generatedTokens: 8, depth: 600 }
    const rows: number[] = []
    const other = testTrial(noting(rows), testOf(sizes), 1, null)
    await other.fill()
    const filled = other.copyFilled()
    rows.length = 0
    const trial = testTrial(noting(rows), testOf(sizes), 1, null, filled)
    await trial.fill()
    expect(rows).toEqual([])
    trial.prepare()
    await trial.run()
    expect(inEveryTrial(rows)).toEqual(await rowsFed(sizes))
    expect(trial.observed().kvCachePredicted).toBe(trial.observed().kvCache)
  })
  it('are those of a prompt and of few tokens in an untimed run', async () => {
    const rows: number[] = []
    const trial = testTrial(noting(rows), testOf({ promptTokens: 64, generatedTokens: 200 }), 1, null)
    await trial.warm()
    expect(rows).toEqual(await rowsOfSequence([64, 1, 1, 1, 1]))
  })
  it('grow behind the prompt where tokens are generated after it', async () => {
    const rows = await rowsOfSequence([64, 1, 1, 1])
    expect(await rowsFed({ promptTokens: 64, generatedTokens: 3 })).toEqual(inEveryTrial(rows))
  })
})
