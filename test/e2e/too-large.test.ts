import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { fetchBenchmarkRun } from '../../src/cli/benchmark-run.ts'
import { type ApiClient, createApiClient } from '../../src/cli/client.ts'
import { StartBenchmarkDocument, type StartBenchmarkInput } from '../../src/generated/operations.ts'
import { startTestApi } from '../integration/api/api-under-test.ts'
import { createTestDatabase } from '../support/test-database.ts'
import { tinyOverrides } from '../support/tiny-spec.ts'
import { startTestWorker } from '../support/workers.ts'

vi.setConfig({ testTimeout: 120_000 })

const dataDir = mkdtempSync(join(tmpdir(), 'kvscope-too-large-'))
afterAll(() => rmSync(dataDir, { recursive: true, force: true }))

/** A subject of tiny GPT-2 with some fields changed. */
function subject(overrides: object): StartBenchmarkInput['subjects'][number] {
  return { source: { synthetic: { preset: 'gpt2', seed: 1, overrides: { ...tinyOverrides, ...overrides } } } }
}

/** Files of weights that the worker has written. */
function writtenWeights(): string[] {
  if (!existsSync(dataDir)) return []
  return readdirSync(dataDir, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.safetensors'))
}

/** So many heads that the scores of 512 of 32,000 tokens, 4 bytes each and three copies, fit into no such machine. */
const heads = 2 ** Math.ceil(Math.log2(Math.max(totalmem(), 50e9) / (3 * 4 * 512 * 32_000)))
const gigabytesOfScores = String(Math.floor((3 * 4 * 512 * 32_000 * heads) / 1e9)).slice(0, 2)

describe('a benchmark that the machine has too little memory for', () => {
  let client: ApiClient
  beforeAll(async () => {
    const databaseUrl = await createTestDatabase()
    const [api] = await Promise.all([startTestApi(databaseUrl), startTestWorker({ databaseUrl, config: { dataDir } })])
    client = createApiClient(api.address, { signal: new AbortController().signal })
  })

  /** Submits, follows to the end and reads the run, as any client would. */
  async function endOf(input: StartBenchmarkInput) {
    const { startBenchmark } = await client.request(StartBenchmarkDocument, { input })
    for await (const _event of client.follow(startBenchmark.run.id));
    return fetchBenchmarkRun(client, startBenchmark.run.id)
  }

  it.each<[string, Partial<StartBenchmarkInput>, RegExp, boolean]>([
    [
      'by its weights, which are not even written',
      { subjects: [subject({ n_embd: 32_768, n_head: 256, n_layer: 200 })], tests: [{ promptTokens: 16 }] },
      /gpt2 10308\.31 GB of weights \+ 0\.84 GB of K\/V cache \+ 1\.71 GB in a step/,
      false,
    ],
    [
      'by its depth',
      { subjects: [subject({ n_positions: 2 ** 20 })], tests: [{ generatedTokens: 1, depth: 2 ** 20 - 1, batch: 64 }] },
      /gpt2 0\.\d\d GB of weights \+ 34\.36 GB of K\/V cache/,
      false,
    ],
    [
      'by the tokens of its prompt, which only the tokenizer knows',
      {
        subjects: [subject({ vocab_size: 50_257, n_head: heads, n_embd: heads, n_layer: 1, n_positions: 32_001 })],
        tests: [],
        prompt: 'a '.repeat(32_000),
      },
      new RegExp(
        `gpt2 \\d\\.\\d\\d GB of weights \\+ \\d\\.\\d\\d GB of K/V cache \\+ ${gigabytesOfScores}\\d*\\.\\d\\d GB in a step`,
      ),
      true,
    ],
  ])('%s, ends FAILED with the arithmetic before a weight is loaded', async (_title, input, arithmetic, written) => {
    const run = await endOf({ subjects: [], ...input })
    expect(run).toMatchObject({ status: 'FAILED', attempt: 1, series: [], error: { code: 'OUT_OF_MEMORY' } })
    expect(run.error?.message).toMatch(/^the run needs about \d+\.\d\d GB .* and \d+\.\d\d GB are left by the/)
    expect(run.error?.message).toMatch(arithmetic)
    expect(run.error?.hint).toContain('Take a smaller model, a smaller depth or batch')
    expect(writtenWeights().length > 0).toBe(written)
  })
})
