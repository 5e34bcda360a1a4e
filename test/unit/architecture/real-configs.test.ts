import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { expectedTensors } from '../../../src/architecture/expected-tensors.ts'
import { kvCacheReport } from '../../../src/architecture/kv-bytes.ts'
import { describeModel } from '../../../src/architecture/model-facts.ts'
import { readModelConfig } from '../../../src/architecture/read-config.ts'

/**
 * Public models, with the fields of their config.json that say what they are under the hub's own names, and figures that
 * come from elsewhere than this code:
 * bytesPerToken is layers x K/V heads x head dim x 2 x 2 (MLA: layers x 576 x 2) multiplied out by hand;
 * parameters is the total of the weights' safetensors as the hub shows it, null where it is not known for sure;
 * source says where layers, heads, K/V heads, head dim and windows were checked: LITGPT is litgpt/config.py at 2685705, which names
 * each model's config.json; PAPERS the papers and model cards; PUBLIC_TEST a test of a public library with the model's own
 * config.json; MEMORY is unchecked.
 */
const realModels = z
  .array(
    z.object({
      id: z.string(),
      config: z.record(z.string(), z.unknown()),
      kind: z.enum(['MHA', 'GQA', 'MQA', 'MLA']),
      kvHeads: z.number().nullable(),
      bytesPerToken: z.number(),
      parameters: z.number().nullable(),
      /** layers by window; null: none has one */
      windows: z.record(z.string(), z.number()).nullable(),
      source: z.enum(['LITGPT', 'PAPERS', 'PUBLIC_TEST', 'MEMORY']),
    }),
  )
  .parse(JSON.parse(readFileSync(new URL('../../golden/real-configs.json', import.meta.url), 'utf8')))

const named = realModels.map((model) => [model.id, model] as const)

describe('real configurations', () => {
  it('are forty at least, of every kind', () => {
    expect(realModels.length).toBeGreaterThanOrEqual(40)
    expect(new Set(realModels.map(({ kind }) => kind))).toEqual(new Set(['MHA', 'GQA', 'MQA', 'MLA']))
  })

  it.each(named)('says of %s its kind, K/V heads, bytes a token and windows', (id, model) => {
    const facts = describeModel(readModelConfig(model.config, id), null)
    expect(facts).toMatchObject({ attentionKind: model.kind, kvHeads: model.kvHeads })
    expect(facts.kvBytesPerToken).toMatchObject({
      F32: 2 * model.bytesPerToken,
      BF16: model.bytesPerToken,
      INT8: model.bytesPerToken / 2,
      INT4: model.bytesPerToken / 4,
    })
    const windows = facts.layerAttention.map(({ window, layers }) => [String(window ?? 'all'), layers.length])
    expect(Object.fromEntries(windows)).toEqual(model.windows ?? { all: facts.layers })
    expect(facts.votes[0]).toMatchObject({ by: 'CONFIG', kind: model.kind })
  })

  it.each(named.filter(([, { parameters }]) => parameters !== null))('counts the parameters of %s', (id, model) => {
    expect(describeModel(readModelConfig(model.config, id), null).parameters).toBe(model.parameters)
  })

  it.each(named)('sees the same by the shapes of the weights of %s, fused or apart', (id, model) => {
    const config = readModelConfig(model.config, id)
    const shapes = new Map(expectedTensors(config).map(({ name, shape }) => [name, shape]))
    const facts = describeModel(config, shapes)
    expect(facts.votes.at(-1)).toMatchObject({ by: 'SHAPES', kind: model.kind })
    expect(facts.warnings.map(({ code }) => code)).not.toContain('SHAPES_DISAGREE')
  })

  it('warns of those whose words mislead, and of no other', () => {
    const codes = realModels.flatMap(({ id, config }) =>
      describeModel(readModelConfig(config, id), null).warnings.map(({ code }) => `${id} ${code}`),
    )
    expect(codes).toEqual([
      'tiiuae/falcon-rw-1b FAMILY_MISLEADS',
      'tiiuae/falcon-7b CONFIG_MISLEADS',
      'tiiuae/falcon-40b SAVING_NOT_EVERYWHERE',
      'tiiuae/falcon-180B SAVING_NOT_EVERYWHERE',
      'tiiuae/falcon-11B SAVING_NOT_EVERYWHERE',
      'deepseek-ai/DeepSeek-V2-Lite CONFIG_MISLEADS',
      'deepseek-ai/DeepSeek-V2 CONFIG_MISLEADS',
      'deepseek-ai/DeepSeek-V3 CONFIG_MISLEADS',
    ])
  })
})

/** The rows of docs/kv-cache.md: what the formulas of public calculators make of these configs, in bytes a token at 16 bits. */
describe('docs/kv-cache.md', () => {
  const page = readFileSync(new URL('../../../docs/kv-cache.md', import.meta.url), 'utf8')
  const count = (value: unknown) => (typeof value === 'number' ? value : undefined)

  function others(raw: Record<string, unknown>) {
    const text = z.record(z.string(), z.unknown()).safeParse(raw.text_config).data ?? raw
    const hidden = count(text.hidden_size) ?? 0
    const heads = count(text.num_attention_heads) ?? 0
    const layers = count(text.num_hidden_layers) ?? 0
    const kvHeads = count(text.num_key_value_heads) ?? heads
    const byHidden = hidden / heads
    return {
      // hf-mem, compute_safetensors_kv_cache_size
      hfMem: 2 * layers * kvHeads * (count(text.head_dim) ?? byHidden) * 2,
      // EleutherAI cookbook, calc_transformer_mem.py: no factor for K and V, none for K/V heads
      eleuther: layers * hidden * 2,
      // LMCache's calculator before its pull request 694
      byHiddenSize: 2 * layers * kvHeads * byHidden * 2,
    }
  }

  const rows = ['tiiuae/falcon-7b', 'tiiuae/falcon-40b', 'meta-llama/Meta-Llama-3-8B', 'Qwen/Qwen3-4B'].concat([
    'google/gemma-2b',
    'google/gemma-2-9b',
    'deepseek-ai/DeepSeek-V2-Lite',
    'deepseek-ai/DeepSeek-V3',
  ])
  it.each(rows)('shows what others make of %s', (id) => {
    const model = realModels.find((one) => one.id === id)
    if (model === undefined) throw new Error(`${id} is no row of the table`)
    const { F16: ours } = describeModel(readModelConfig(model.config, id), null).kvBytesPerToken
    const cell = (bytes: number) => {
      const times = bytes / ours
      const shown = times === 1 ? 'right' : `${times < 10 ? times.toFixed(2) : times.toFixed(1)} x`
      return `${bytes.toLocaleString('en-US')} (${shown})`
    }
    const { hfMem, eleuther, byHiddenSize } = others(model.config)
    expect(page).toContain(
      `| ${id} | ${model.kind} | **${ours.toLocaleString('en-US')}** | ${cell(hfMem)} | ${cell(eleuther)} | ${cell(byHiddenSize)} |`,
    )
  })

  it("multiplies out Gemma 2's windows as the page does", () => {
    const model = realModels.find(({ id }) => id === 'google/gemma-2-9b')
    const report = kvCacheReport(readModelConfig(model?.config ?? {}, 'gemma-2-9b'), { contextLength: 8192 })
    for (const { factors, bytes } of report.products) {
      const product = factors.map(({ value }) => value.toLocaleString('en-US')).join(' x ')
      expect(page).toContain(`${product} = ${bytes.toLocaleString('en-US')} bytes`)
    }
    expect(page).toContain(`${report.bytes.toLocaleString('en-US')} bytes`)
  })
})
