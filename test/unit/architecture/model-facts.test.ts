import { describe, expect, it } from 'vitest'
import { expectedTensors } from '../../../src/architecture/expected-tensors.ts'
import { describeModel } from '../../../src/architecture/model-facts.ts'
import { describePresets } from '../../../src/architecture/preset-facts.ts'
import { findPreset, presets } from '../../../src/architecture/presets.ts'
import { readModelConfig } from '../../../src/architecture/read-config.ts'

const configOf = (name: string, changes: Record<string, unknown> = {}) =>
  readModelConfig({ ...findPreset(name).config, ...changes }, name)

/** The shapes of a checkpoint that fits the preset, which another config may then be read against. */
const shapesOf = (name: string) =>
  new Map(expectedTensors(configOf(name)).map(({ name: tensor, shape }) => [tensor, shape]))

const codes = (facts: ReturnType<typeof describeModel>) => facts.warnings.map((warning) => warning.code)

describe('describeModel', () => {
  it.each(presets.map(({ name }) => [name]))('has config and shapes agree on %s', (name) => {
    const facts = describeModel(configOf(name), shapesOf(name))
    const config = facts.votes.filter((vote) => vote.by === 'CONFIG')
    const shapes = facts.votes.filter((vote) => vote.by === 'SHAPES')
    expect(config[0]?.kind).toBe(facts.attentionKind)
    expect(shapes.map((vote) => vote.kind)).toEqual([facts.attentionKind])
    expect(codes(facts)).not.toContain('SHAPES_DISAGREE')
  })

  it('names what misleads about falcon-7b: num_kv_heads says 71', () => {
    const facts = describeModel(configOf('falcon-7b'), shapesOf('falcon-7b'))
    expect(facts).toMatchObject({ attentionKind: 'MQA', kvHeads: 1 })
    expect(facts.votes.map(({ by, kind }) => `${by} ${kind}`)).toEqual(['CONFIG MQA', 'CONFIG MHA', 'SHAPES MQA'])
    expect(facts.votes[2]?.evidence).toContain('4672 rows = (71 + 2 x 1) x 64')
    expect(facts.warnings).toEqual([
      expect.objectContaining({ code: 'CONFIG_MISLEADS', message: expect.stringContaining('num_kv_heads 71') }),
    ])
  })

  it('says of falcon-rw-1b that it is a Falcon and not MQA', () => {
    const facts = describeModel(configOf('falcon-rw-1b'), shapesOf('falcon-rw-1b'))
    expect(facts).toMatchObject({ attentionKind: 'MHA', kvHeads: 32 })
    expect(facts.warnings).toEqual([
      expect.objectContaining({ code: 'FAMILY_MISLEADS', message: expect.stringContaining('a Falcon, and not MQA') }),
    ])
  })

  it.each([
    ['falcon-rw-1b', { multi_query: true }, 'MHA', 32],
    ['falcon-7b', { multi_query: false }, 'MQA', 1],
    ['falcon-40b', { num_kv_heads: 128 }, 'GQA', 8],
    ['llama-3.1-8b', { num_key_value_heads: undefined }, 'GQA', 8],
    ['santacoder', { multi_query: false }, 'MQA', 1],
    ['gpt2', { num_key_value_heads: 4 }, 'MHA', 12],
  ])("believes %s's weights where config.json says %j", (name, changes, kind, kvHeads) => {
    const facts = describeModel(configOf(name, changes), shapesOf(name))
    expect(facts).toMatchObject({ attentionKind: kind, kvHeads })
    expect(codes(facts)).toContain('SHAPES_DISAGREE')
    expect(facts.kvBytesPerToken).toEqual(describeModel(configOf(name), null).kvBytesPerToken)
    expect(facts.parameters).toBe(describeModel(configOf(name), null).parameters)
  })

  it('refuses weights whose rows make no whole number of heads', () => {
    const shapes = new Map([['h.0.attn.c_attn.weight', [768, 2300]]])
    expect(() => describeModel(configOf('gpt2'), shapes)).toThrow(
      expect.objectContaining({ code: 'CHECKPOINT_INVALID', message: expect.stringContaining('2300 columns') }),
    )
    const latent = new Map([['model.layers.0.self_attn.kv_a_proj_with_mqa.weight', [512, 7168]]])
    expect(() => describeModel(configOf('deepseek-v3'), latent)).toThrow(
      /512 rows, and its config.json makes 512 \+ 64/,
    )
  })

  it('goes by config.json alone where there are no weights, and names the tensor that would show it', () => {
    const facts = describeModel(configOf('gpt2-medium'), null)
    expect(facts.votes).toEqual([
      { by: 'CONFIG', kind: 'MHA', evidence: expect.stringContaining('c_attn.weight would be [1024, 3072]') },
    ])
  })

  it('groups layers that are alike', () => {
    const types = Array.from({ length: 24 }, (_, layer) => (layer % 4 === 3 ? 'full_attention' : 'sliding_attention'))
    const windowed = { layer_types: types, use_sliding_window: true, sliding_window: 4096 }
    const facts = describeModel(configOf('qwen2.5-0.5b', windowed), null)
    expect(facts.layerAttention.map(({ layers, window }) => [layers.length, window])).toEqual([
      [18, 4096],
      [6, null],
    ])
    const sum = facts.layerAttention.reduce((bytes, group) => bytes + group.kvBytesPerToken.F16, 0)
    expect(sum).toBe(facts.kvBytesPerToken.F16)
  })

  it('counts what a token uses of a model with experts, and all of one without', () => {
    const mixtral = describeModel(configOf('mixtral-8x7b'), null)
    expect(mixtral.activeParameters).toBe(mixtral.parameters - 32 * 6 * 3 * 4096 * 14_336)
    const mistral = describeModel(configOf('mistral-7b'), null)
    expect(mistral.activeParameters).toBe(mistral.parameters)
  })

  it('survives JSON unchanged, as it is stored with a run', () => {
    for (const { facts } of describePresets()) expect(JSON.parse(JSON.stringify(facts))).toEqual(facts)
  })
})
