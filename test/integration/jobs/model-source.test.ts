import { resolve } from 'node:path'
import { expect, it } from 'vitest'
import { readConfig } from '../../../src/config.ts'
import { describeSource } from '../../../src/jobs/model-source.ts'
import { tinyOverrides } from '../../support/tiny-spec.ts'

const { hub } = readConfig({})

it('describes a preset with fields of its config overridden', async () => {
  const facts = await describeSource({ synthetic: { preset: 'gpt2', seed: 0, overrides: tinyOverrides } }, [], hub)
  expect(facts).toMatchObject({
    name: 'gpt2',
    attentionKind: 'MHA',
    layers: 2,
    heads: 4,
    kvHeads: 4,
    contextLength: 128,
  })
})

it('describes a bare config.json', async () => {
  const config = {
    model_type: 'llama',
    _name_or_path: 'somebody/tiny-llama',
    hidden_size: 64,
    intermediate_size: 128,
    num_hidden_layers: 3,
    num_attention_heads: 8,
    num_key_value_heads: 2,
    vocab_size: 100,
    max_position_embeddings: 256,
    rms_norm_eps: 1e-5,
  }
  const facts = await describeSource({ config }, [], hub)
  expect(facts).toMatchObject({ name: 'tiny-llama', family: 'llama', attentionKind: 'GQA', kvHeads: 2 })
})

it('refuses a folder outside the roots', async () => {
  const source = { local: { path: resolve('.') } }
  await expect(describeSource(source, [resolve('test')], hub)).rejects.toMatchObject({ code: 'PATH_FORBIDDEN' })
})
