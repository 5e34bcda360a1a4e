import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { z } from 'zod'
import { readModelConfig } from '../../../src/architecture/read-config.ts'
import { readConfig } from '../../../src/config.ts'
import { findAttentionHeads, findDiversity, findMapOutline, findPrompts } from '../../../src/db/attention-maps.ts'
import { findMapRows, findSmallMaps, findTiles } from '../../../src/db/attention-tiles.ts'
import { retry } from '../../../src/jobs/control.ts'
import { submitRun } from '../../../src/jobs/submit.ts'
import { largestDifference, readExpected } from '../../support/golden.ts'
import { until } from '../../support/processes.ts'
import { describeOnQueues } from '../../support/queue-backends.ts'
import { runEnded } from '../../support/run-checks.ts'
import { openSubmitter, type Submitter } from '../../support/submitting.ts'
import { createTestDatabase } from '../../support/test-database.ts'
import { startTestWorker, type TestWorker } from '../../support/workers.ts'

/** Processes start slowly on a busy machine. */
vi.setConfig({ testTimeout: 120_000 })

const dataDir = mkdtempSync(join(tmpdir(), 'kvscope-attention-runs-'))
afterAll(() => rmSync(dataDir, { recursive: true, force: true }))

const golden = resolve(import.meta.dirname, '../../golden')
const shared = process.env.KVSCOPE_SHARED_MODELS ?? resolve(import.meta.dirname, '../../../../shared/models')
const stories = join(shared, 'stories260K')
const modelRoots = [golden, ...(existsSync(stories) ? [shared] : [])]

const goldenCases = z.object({
  cases: z.array(z.object({ model: z.string(), kvHeads: z.int(), tokens: z.array(z.int()), expected: z.string() })),
})
/** Of each family one, and each way to share K/V heads. */
const chosen = [
  { family: 'gpt2', model: 'heads6', kvHeads: 6, convert: null },
  { family: 'gpt2', model: 'heads6', kvHeads: 2, convert: { kvHeads: 2 } },
  { family: 'llama', model: 'gqa', kvHeads: 2, convert: null },
  { family: 'falcon', model: 'falcon_rw', kvHeads: null, convert: null },
  { family: 'gpt_bigcode', model: 'mqa', kvHeads: null, convert: null },
]

function goldenCase({ family, model, kvHeads }: (typeof chosen)[number]) {
  const { cases } = goldenCases.parse(JSON.parse(readFileSync(join(golden, family, 'cases.json'), 'utf8')))
  const found = cases.find((one) => one.model === model && (kvHeads === null || one.kvHeads === kvHeads))
  if (found === undefined) throw new Error(`no case of ${family}/${model} with ${kvHeads} K/V heads`)
  return found
}

/** Half-floats in six tiles a map, many batches of them: something to be killed in. */
const longMaps = {
  subjects: [
    {
      source: {
        synthetic: {
          preset: 'gpt2',
          seed: 3,
          overrides: { n_layer: 4, n_embd: 64, n_head: 16, vocab_size: 101, n_positions: 700 },
        },
      },
      threads: 1,
    },
  ],
  tokenIds: Array.from({ length: 600 }, (_, position) => (position * 37 + 11) % 101),
  layers: [0, 1, 2, 3],
  diversity: false,
}

describeOnQueues('a run on attention maps', ({ redisUrl }) => {
  let submitter: Submitter
  let worker: TestWorker
  beforeAll(async () => {
    const databaseUrl = await createTestDatabase()
    submitter = openSubmitter(databaseUrl, redisUrl)
    worker = await startTestWorker({ databaseUrl, config: { redisUrl, dataDir, modelRoots, maxResultBytes: 80e6 } })
  })
  afterAll(async () => {
    await worker.terminate()
    await submitter.close()
  })

  const submit = async (fields: object, more: object = {}) => {
    const config = { ...readConfig({}), modelRoots, ...more }
    const spec = { kind: 'ATTENTION_MAPS', version: 1, ...fields }
    return (await submitRun({ ...submitter, config }, { spec })).runId
  }
  const succeeded = async (runId: string) => {
    const { status, errorMessage: error, errorLog: log, ...run } = await runEnded(submitter.db, runId)
    expect({ status, error, log }).toEqual({ status: 'SUCCEEDED', error: null, log: null })
    return run
  }
  /** All maps of a run's first prompt that are a tile at most, [layers, heads, size, size] as they lie in the oracle's file. */
  const storedMaps = async (runId: string) => {
    const heads = await findAttentionHeads(submitter.db, runId, { prompt: 0 })
    const maps = await findSmallMaps(submitter.db, heads)
    return Float32Array.from(maps.flatMap((map) => [...(map ?? [])]))
  }

  it.each(chosen)("stores the oracle's probabilities of $family/$model, $kvHeads K/V heads", async (one) => {
    const { tokens, expected } = goldenCase(one)
    const path = join(golden, one.family, one.model)
    const { layers } = readModelConfig(JSON.parse(readFileSync(join(path, 'config.json'), 'utf8')), one.model)
    const { attention } = await readExpected(join(golden, one.family, expected))
    const runId = await submit({
      subjects: [{ source: { local: { path } }, convert: one.convert, threads: 1 }],
      tokenIds: tokens,
      layers: Array.from({ length: layers }, (_, layer) => layer),
    })
    await succeeded(runId)
    expect(largestDifference(await storedMaps(runId), attention)).toBeLessThan(1e-5)
    expect((await findDiversity(submitter.db, [runId])).get(runId)).toHaveLength(layers)
  })

  it.skipIf(!existsSync(stories))("stores a trained model's probabilities of a text, and its tokens", async () => {
    const captured = z.object({
      prompt: z.string(),
      token_ids: z.array(z.int()),
      attentions: z.array(z.array(z.array(z.array(z.number())))),
    })
    const { prompt, token_ids, attentions } = captured.parse(
      JSON.parse(readFileSync(join(stories, 'expected/attention.json'), 'utf8')),
    )
    const runId = await submit({
      subjects: [{ source: { local: { path: stories } }, threads: 1 }],
      prompts: [prompt],
      layers: [0, 1, 2, 3, 4],
    })
    await succeeded(runId)
    expect(largestDifference(await storedMaps(runId), attentions.flat(3))).toBeLessThan(1e-4)
    const [stored] = (await findPrompts(submitter.db, [runId])).get(runId) ?? []
    expect(stored?.tokens.map(({ id }) => id)).toEqual(token_ids)
    expect(stored?.tokens.slice(0, 3).map(({ text }) => text)).toEqual(['<s>', ' Once', ' upon'])
    const heads = await findAttentionHeads(submitter.db, runId, { prompt: 0, layer: 4 })
    expect(heads.map(({ kvHead }) => kvHead)).toEqual([0, 0, 1, 1, 2, 2, 3, 3])
  })

  it('shows no row of an attempt whose child was killed in the middle, and a retry stores everything once', async () => {
    worker.waitAt('between two writes')
    const runId = await submit(longMaps)
    await worker.reached('between two writes')
    process.kill(worker.children.at(-1) ?? 0, 'SIGKILL')
    worker.goOn()
    expect(await runEnded(submitter.db, runId)).toMatchObject({ status: 'FAILED', errorCode: 'WORKER_CRASHED' })
    expect(await submitter.db.attentionTile.count({ where: { runId, attempt: 1 } })).toBeGreaterThan(0)
    expect(await findMapOutline(submitter.db, [runId])).toEqual(new Map())
    const key = { runId, prompt: 0, layer: 0, head: 0 }
    expect(await findTiles(submitter.db, { ...key, level: 0 })).toEqual([])

    await retry(submitter, runId)
    expect((await succeeded(runId)).attempt).toBe(2)
    const outline = (await findMapOutline(submitter.db, [runId])).get(runId)
    expect(outline).toMatchObject({ attempt: 2, layers: [0, 1, 2, 3], prompts: [{ prompt: 0, size: 600 }] })
    expect(outline?.heads).toHaveLength(16)
    // 6 tiles of level 0, and twice 6 - 3 at 300 tokens and 1 at 150 above.
    expect(await submitter.db.attentionTile.count({ where: { runId, attempt: 2 } })).toBe(4 * 16 * (6 + 2 * 3 + 2 * 1))
    const rows = await findMapRows(
      submitter.db,
      [0, 300, 599].map((query) => ({ ...key, query })),
    )
    for (const row of rows) expect([...(row ?? [])].reduce((sum, p) => sum + p, 0)).toBeCloseTo(1, 2)
    await until('rows of the lost attempt are gone', async () => {
      return (await submitter.db.attentionTile.count({ where: { runId, attempt: 1 } })) === 0
    })
  })

  it('is refused at once where its token ids decide it', async () => {
    const small = { maxResultBytes: 1_000_000 }
    await expect(submit(longMaps, small)).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' })
    await expect(submit({ ...longMaps, generatedTokens: 101 })).rejects.toMatchObject({ code: 'CONTEXT_EXCEEDED' })
  })

  it.each([
    ['LIMIT_EXCEEDED', 600, /4 layers x 32 heads x 1 prompts .* are [\d,]+ B, and a run may store 80,000,000 B/],
    ['CONTEXT_EXCEEDED', 800, /the prompt has 800 tokens for gpt2, which has 700 positions/],
  ])('fails with the same code, %s, where only the tokenizer tells', async (code, words, arithmetic) => {
    const overrides = { n_layer: 4, n_embd: 64, n_head: 32, vocab_size: 50_257, n_positions: 700 }
    const source = { synthetic: { preset: 'gpt2', seed: 3, overrides } }
    const prompts = [Array.from({ length: words }, () => 'word').join(' ')]
    const runId = await submit({ subjects: [{ source, threads: 1 }], prompts, layers: [0, 1, 2, 3], diversity: false })
    const run = await runEnded(submitter.db, runId)
    expect(run).toMatchObject({ status: 'FAILED', errorCode: code, attempt: 1 })
    expect(run.errorMessage).toMatch(arithmetic)
    expect(await submitter.db.attentionTile.count({ where: { runId } })).toBe(0)
  })
})
