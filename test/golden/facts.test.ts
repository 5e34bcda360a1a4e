import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { compareTensors } from '../../src/architecture/check-tensors.ts'
import { describeModel } from '../../src/architecture/model-facts.ts'
import { readModelConfig } from '../../src/architecture/read-config.ts'
import type { Checkpoint } from '../../src/checkpoints/checkpoint.ts'
import { openCheckpoint } from '../../src/checkpoints/open.ts'
import { loadModel } from '../../src/models/runner.ts'

const folder = resolve(import.meta.dirname)

/** Checkpoint, kind, K/V heads, values cached a token over all layers, what carries no weight of its own. */
const table: [model: string, kind: string, kvHeads: number, values: number, copies: readonly string[]][] = [
  ['gpt2/heads6', 'MHA', 6, 2 * 2 * 6 * 8, ['h.0.attn.bias', 'h.1.attn.bias']],
  ['llama/gqa', 'GQA', 2, 2 * 2 * 2 * 4, []],
  ['falcon/falcon_rw', 'MHA', 11, 2 * 2 * 11 * 3, []],
  ['falcon/falcon_7b', 'MQA', 1, 2 * 2 * 6, ['lm_head.weight']],
  ['falcon/falcon_40b', 'GQA', 2, 2 * 2 * 2 * 4, []],
  ['falcon/falcon_11b', 'GQA', 2, 2 * 2 * 2 * 4, []],
  ['gpt_bigcode/mqa', 'MQA', 1, 2 * 2 * 6, []],
  ['gpt_bigcode/mha', 'MHA', 3, 2 * 2 * 3 * 8, []],
]

const shapesOf = ({ tensors }: Checkpoint) => new Map([...tensors].map(([name, { shape }]) => [name, shape]))

describe.each(table)('%s', (model, kind, kvHeads, values, copies) => {
  it('is told from its files as what it is, with every tensor in its place', async () => {
    const checkpoint = await openCheckpoint(join(folder, model))
    const config = readModelConfig(checkpoint.config, model)
    const facts = describeModel(config, shapesOf(checkpoint))
    expect(facts).toMatchObject({ attentionKind: kind, kvHeads, layers: 2 })
    expect(facts.kvBytesPerToken).toMatchObject({ F32: 4 * values, F16: 2 * values })
    expect(facts.votes.at(-1)).toMatchObject({ by: 'SHAPES', kind })
    expect(facts.warnings.map(({ code }) => code)).not.toContain('SHAPES_DISAGREE')
    expect(compareTensors(checkpoint, config)).toEqual({ faults: [], unexpected: [] })

    const stored = [...checkpoint.tensors.values()].filter(({ name }) => !copies.includes(name))
    const weights = stored.reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0)
    expect(facts.parameters).toBe(weights)
  })

  it('caches what the facts say', async () => {
    const checkpoint = await openCheckpoint(join(folder, model))
    const loaded = await loadModel(checkpoint, readModelConfig(checkpoint.config, model), {
      provider: 'cpu',
      threads: 1,
    })
    const cache = loaded.createCache()
    await loaded.forward([[1, 2, 3]], cache)
    await loaded.forward([[4]], cache)
    await loaded.close()
    expect(cache.measuredBytes()).toBe(3 * 4 * values)
  })
})

describe('a Falcon in the hub spelling of its first release', () => {
  it.each([
    ['falcon_7b', 'RefinedWebModel', {}],
    ['falcon_rw', 'RefinedWebModel', {}],
    ['falcon_40b', 'RefinedWeb', { n_head_kv: 2, new_decoder_architecture: undefined, multi_query: undefined }],
  ])('computes what it does in the new one: %s', async (model, model_type, changes) => {
    const checkpoint = await openCheckpoint(join(folder, 'falcon', model))
    const { num_attention_heads: n_head, num_hidden_layers: n_layer, num_kv_heads: _, ...rest } = checkpoint.config
    const results: Float32Array[] = []
    for (const raw of [checkpoint.config, { ...rest, n_head, n_layer, model_type, ...changes }]) {
      const loaded = await loadModel(checkpoint, readModelConfig(raw, model), { provider: 'cpu', threads: 1 })
      results.push((await loaded.forward([[5, 7, 11, 13]], loaded.createCache())).data)
      await loaded.close()
    }
    expect(results[1]).toEqual(results[0])
  })
})
