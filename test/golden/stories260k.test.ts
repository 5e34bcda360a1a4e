import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { readModelConfig } from '../../src/architecture/read-config.ts'
import { openCheckpoint } from '../../src/checkpoints/open.ts'
import { generateGreedy } from '../../src/models/generate.ts'
import { loadModel } from '../../src/models/runner.ts'
import { filledRows, largestDifference } from '../support/golden.ts'

/** Real weights, beside the repository or where KVSCOPE_SHARED_MODELS says; without them these tests are skipped. */
const shared = process.env.KVSCOPE_SHARED_MODELS ?? resolve(import.meta.dirname, '../../../shared/models')
const folder = join(shared, 'stories260K')
const bound = 1e-4

const greedy = z.object({ prompt_token_ids: z.array(z.int()), new_token_ids: z.array(z.int()) })
const heads = z.array(z.array(z.array(z.number())))
const captured = z.object({
  token_ids: z.array(z.int()),
  attentions: z.array(heads),
  last_logits: z.array(z.number()),
  kv_cache: z.record(z.enum(['0', '4']), z.object({ k: heads, v: heads })),
})

async function expected<T>(file: string, schema: z.ZodType<T>): Promise<T> {
  return schema.parse(JSON.parse(await readFile(join(folder, 'expected', file), 'utf8')))
}

async function load(options: { attention?: boolean } = {}) {
  const checkpoint = await openCheckpoint(folder)
  const config = readModelConfig(checkpoint.config, 'stories260K')
  return loadModel(checkpoint, config, { provider: 'cpu', threads: 1, ...options })
}

describe.skipIf(!existsSync(folder))(`stories260K, a trained Llama with 4 K/V heads for 8 (${folder})`, () => {
  it.each(['greedy-200.json', 'greedy-fox-32.json'])('generates the tokens of %s', async (file) => {
    const { prompt_token_ids, new_token_ids } = await expected(file, greedy)
    const model = await load()
    const made: number[] = []
    for await (const token of generateGreedy(model, prompt_token_ids, new_token_ids.length)) made.push(token)
    await model.close()
    expect(made).toEqual(new_token_ids)
  })

  it('has the expected logits, probabilities, keys and values', async () => {
    const { token_ids, attentions, last_logits, kv_cache } = await expected('attention.json', captured)
    const model = await load({ attention: true })
    const cache = model.createCache()
    const { data, attention } = await model.forward([token_ids], cache)
    await model.close()

    expect(largestDifference(data, last_logits)).toBeLessThan(bound)
    expect(attention).toHaveLength(attentions.length)
    for (const [layer, rows] of attentions.entries()) {
      expect(largestDifference(attention[layer]?.data ?? [], rows.flat(2))).toBeLessThan(bound)
    }
    const [keys, values] = [filledRows(cache, 'key'), filledRows(cache, 'value')]
    for (const layer of ['0', '4'] as const) {
      expect(largestDifference(keys[Number(layer)] ?? [], kv_cache[layer].k.flat(2))).toBeLessThan(bound)
      expect(largestDifference(values[Number(layer)] ?? [], kv_cache[layer].v.flat(2))).toBeLessThan(bound)
    }
  })
})
