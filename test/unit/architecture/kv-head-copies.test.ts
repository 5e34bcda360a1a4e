import { describe, expect, it } from 'vitest'
import { expectedTensors } from '../../../src/architecture/expected-tensors.ts'
import { findKvHeadCopies, type WeightBytes } from '../../../src/architecture/kv-head-copies.ts'
import type { ModelConfig } from '../../../src/architecture/model-config.ts'
import { describeModel } from '../../../src/architecture/model-facts.ts'
import { readModelConfig } from '../../../src/architecture/read-config.ts'

const headDim = 4
const sizes = { hidden_size: 24, num_hidden_layers: 3, vocab_size: 11 }

const configs = {
  llama: { ...sizes, model_type: 'llama', num_attention_heads: 6, num_key_value_heads: 6, intermediate_size: 8 },
  gpt2: { model_type: 'gpt2', n_embd: 24, n_layer: 3, n_head: 6, n_positions: 8, vocab_size: 11 },
  falcon: { ...sizes, model_type: 'falcon', num_attention_heads: 6, multi_query: false, bias: true },
  falconGrouped: {
    ...sizes,
    model_type: 'falcon',
    num_attention_heads: 6,
    num_kv_heads: 3,
    new_decoder_architecture: true,
  },
}
const configOf = (raw: Record<string, unknown>) => readModelConfig(raw, 'small')

/** Weights in 32 bits that all differ, until they are written to. */
class Weights implements WeightBytes {
  readonly tensors: Map<string, { shape: number[]; values: Float32Array }>
  readonly reads: string[] = []

  constructor(config: ModelConfig) {
    let next = 0
    this.tensors = new Map(
      expectedTensors(config).map(({ name, shape }) => {
        const count = shape.reduce((product, size) => product * size, 1)
        return [name, { shape, values: Float32Array.from({ length: count }, () => ++next) }]
      }),
    )
  }

  find(name: string) {
    const tensor = this.tensors.get(name)
    return tensor ? { shape: tensor.shape, byteLength: tensor.values.byteLength } : null
  }

  async read(name: string, start: number, length: number): Promise<Uint8Array> {
    this.reads.push(name)
    return new Uint8Array(this.tensors.get(name)?.values.buffer ?? new ArrayBuffer(0), start, length)
  }

  /** Makes blocks of head dim rows, or columns, of a tensor equal to others. */
  copy(name: string, axis: 0 | 1, from: number, to: number): void {
    const { shape = [], values } = this.tensors.get(name) ?? {}
    const [rows = 0, columns = 1] = shape
    for (let at = 0; at < headDim * (axis === 0 ? columns : rows); at += 1) {
      const place = (block: number) =>
        axis === 0
          ? block * headDim * columns + at
          : Math.floor(at / headDim) * columns + block * headDim + (at % headDim)
      if (values) values[place(to)] = values[place(from)] ?? 0
    }
  }
}

function llamaWithCopies(layers: readonly number[]) {
  const config = configOf(configs.llama)
  const weights = new Weights(config)
  for (const layer of layers) {
    for (const part of ['k_proj', 'v_proj']) {
      for (const [from, to] of [
        [0, 1],
        [2, 3],
        [4, 5],
      ] as const) {
        weights.copy(`model.layers.${layer}.self_attn.${part}.weight`, 0, from, to)
      }
    }
  }
  return { config, weights }
}

describe('findKvHeadCopies', () => {
  it.each(Object.entries(configs))('sees that no two K/V heads of %s are alike', async (_name, raw) => {
    const config = configOf(raw)
    const copies = await findKvHeadCopies(config, new Weights(config))
    const stored = config.attention[0]?.kvHeads
    expect(copies).toMatchObject({ stored, distinct: stored, kind: config.attention[0]?.kind, layers: [0] })
    expect(copies?.evidence).toContain(`${stored} K/V heads, no two alike`)
  })

  it('sees a GQA that is stored as MHA, in every layer that it is told to look at', async () => {
    const { config, weights } = llamaWithCopies([0, 1, 2])
    const copies = await findKvHeadCopies(config, weights, [0, 1, 2])
    expect(copies).toMatchObject({ stored: 6, distinct: 3, kind: 'GQA', layers: [0, 1, 2] })
    expect(copies?.evidence).toBe('each of layers 0 to 2 stores 6 K/V heads, of which 3 differ, each 2 times')
  })

  it('does not take copies in one layer for copies in all', async () => {
    const { config, weights } = llamaWithCopies([0])
    const copies = await findKvHeadCopies(config, weights, [0, 1, 2])
    expect(copies).toMatchObject({ stored: 6, distinct: 6, kind: 'MHA' })
    expect(copies?.evidence).toContain('but not of layer 1')
  })

  it('takes heads whose V or bias differs for different', async () => {
    const { config, weights } = llamaWithCopies([0])
    const values = weights.tensors.get('model.layers.0.self_attn.v_proj.weight')?.values
    if (values) values[headDim * 24] = -1
    const copies = await findKvHeadCopies(config, weights)
    expect(copies).toMatchObject({ distinct: 6 })
    expect(copies?.evidence).toContain('of which 4 differ; heads 2, 3 are equal')
  })

  it("finds K and V among GPT-2's columns, and reads the tensor once", async () => {
    const config = configOf(configs.gpt2)
    const weights = new Weights(config)
    for (let head = 1; head < 6; head += 1) {
      for (const part of [6, 12]) {
        weights.copy('h.0.attn.c_attn.weight', 1, part, part + head)
        weights.copy('h.0.attn.c_attn.bias', 0, part, part + head)
      }
    }
    expect(await findKvHeadCopies(config, weights)).toMatchObject({ stored: 6, distinct: 1, kind: 'MQA' })
    expect(weights.reads.filter((name) => name === 'h.0.attn.c_attn.weight')).toHaveLength(1)
  })

  it("finds them in Falcon's groups", async () => {
    const config = configOf(configs.falconGrouped)
    const weights = new Weights(config)
    const name = 'h.0.self_attention.query_key_value.weight'
    // (kv, 6 / 3 + 2, d): each group's two queries, its key, its value
    for (const group of [1, 2]) {
      weights.copy(name, 0, 2, 4 * group + 2)
      weights.copy(name, 0, 3, 4 * group + 3)
    }
    expect(await findKvHeadCopies(config, weights)).toMatchObject({ stored: 3, distinct: 1, kind: 'MQA' })
  })

  it('reads of one layer its K and V alone', async () => {
    const config = configOf(configs.llama)
    const weights = new Weights(config)
    await findKvHeadCopies(config, weights)
    expect(new Set(weights.reads)).toEqual(
      new Set(['model.layers.0.self_attn.k_proj.weight', 'model.layers.0.self_attn.v_proj.weight']),
    )
  })

  it('has nothing to say where the tensors are not there', async () => {
    const weights: WeightBytes = { find: () => null, read: () => Promise.reject(new Error('nothing to read')) }
    expect(await findKvHeadCopies(configOf(configs.llama), weights)).toBeNull()
  })
})

it('votes by values beside the shapes, which win, and warns of copies', async () => {
  const { config, weights } = llamaWithCopies([0])
  const shapes = new Map(expectedTensors(config).map(({ name, shape }) => [name, shape]))
  const facts = describeModel(config, shapes, await findKvHeadCopies(config, weights))
  expect(facts).toMatchObject({ attentionKind: 'MHA', kvHeads: 6 })
  expect(facts.votes.map(({ by, kind }) => `${by} ${kind}`)).toEqual(['CONFIG MHA', 'SHAPES MHA', 'VALUES GQA'])
  expect(facts.warnings).toEqual([
    expect.objectContaining({ code: 'HEADS_ARE_COPIES', advice: expect.stringContaining('--kv-heads 3') }),
  ])
})
