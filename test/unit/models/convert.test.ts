import { mkdtemp, readdir, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { expectedTensors } from '../../../src/architecture/expected-tensors.ts'
import { findPreset } from '../../../src/architecture/presets.ts'
import { readModelConfig } from '../../../src/architecture/read-config.ts'
import { openCheckpoint } from '../../../src/checkpoints/open.ts'
import { readTensor } from '../../../src/checkpoints/read-tensor.ts'
import { writeSafetensors } from '../../../src/checkpoints/write-safetensors.ts'
import { convertKvHeads } from '../../../src/models/convert.ts'
import { loadModel } from '../../../src/models/runner.ts'
import { type OpenedModel, openSynthetic } from '../../../src/models/synthetic.ts'

let root = ''
let gpt2: OpenedModel
let llama: OpenedModel
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'kvscope-convert-'))
  const sizes = { n_layer: 2, n_head: 8, n_embd: 32, n_positions: 32, n_ctx: 32, vocab_size: 100 }
  gpt2 = await openSynthetic({ preset: 'gpt2', seed: 5, overrides: { ...sizes, initializer_range: 0.4 } }, root)
  const llamaSizes = { num_hidden_layers: 2, hidden_size: 32, intermediate_size: 48, vocab_size: 100, head_dim: 4 }
  const heads = { num_attention_heads: 8, num_key_value_heads: 4, attention_bias: true }
  llama = await openSynthetic({ preset: 'llama-2-7b', seed: 5, overrides: { ...llamaSizes, ...heads } }, root)
})
afterAll(() => rm(root, { recursive: true, force: true }))

async function valuesOf({ checkpoint }: OpenedModel, name: string): Promise<Float32Array> {
  const entry = checkpoint.tensors.get(name)
  if (!entry) throw new Error(`no tensor ${name}`)
  return readTensor(entry)
}

const convert = (model: OpenedModel, kvHeads: number, method: 'MEAN' | 'FIRST' = 'MEAN', dataDir = root) =>
  convertKvHeads(model.checkpoint, model.config, { kvHeads, method }, dataDir)

/** The tensors that a conversion does not share with its source. */
const ownOf = ({ checkpoint }: OpenedModel, source: OpenedModel) =>
  [...checkpoint.tensors.values()].filter(({ name, file }) => source.checkpoint.tensors.get(name)?.file !== file)

describe('convertKvHeads of GPT-2', () => {
  it('pools the K and V columns of c_attn and leaves its queries', async () => {
    const pooled = await convert(gpt2, 2)
    expect(pooled.config.attention).toEqual(Array(2).fill(expect.objectContaining({ kind: 'GQA', kvHeads: 2 })))
    for (const layer of [0, 1]) {
      const name = `h.${layer}.attn.c_attn.weight`
      const [before, after] = [await valuesOf(gpt2, name), await valuesOf(pooled, name)]
      expect(pooled.checkpoint.tensors.get(name)?.shape).toEqual([32, 32 + 2 * 2 * 4])
      for (let row = 0; row < 32; row++) {
        expect(after.slice(row * 48, row * 48 + 32)).toEqual(before.slice(row * 96, row * 96 + 32))
        for (const [part, from, to] of [
          ['K', 32, 32],
          ['V', 64, 40],
        ] as const) {
          for (let head = 0; head < 2; head++) {
            for (let dim = 0; dim < 4; dim++) {
              const four = [0, 1, 2, 3].map((i) => before[row * 96 + from + (4 * head + i) * 4 + dim] ?? Number.NaN)
              const mean = four.reduce((sum, value) => sum + value, 0) / 4
              expect(after[row * 48 + to + head * 4 + dim], `${part}, head ${head}`).toBe(Math.fround(mean))
            }
          }
        }
      }
    }
  })

  it('takes the first head of each group if asked to', async () => {
    const pooled = await convert(gpt2, 1, 'FIRST')
    const name = 'h.1.attn.c_attn.weight'
    const [before, after] = [await valuesOf(gpt2, name), await valuesOf(pooled, name)]
    expect(after.slice(32, 36)).toEqual(before.slice(32, 36))
    expect(after.slice(36, 40)).toEqual(before.slice(64, 68))
  })

  it('writes the fused projections alone; every other tensor stays in the file that both share', async () => {
    const pooled = await convert(gpt2, 2)
    const own = ownOf(pooled, gpt2)
    expect(own.map((entry) => entry.name).sort()).toEqual([
      'h.0.attn.c_attn.bias',
      'h.0.attn.c_attn.weight',
      'h.1.attn.c_attn.bias',
      'h.1.attn.c_attn.weight',
    ])
    expect(new Set(own.map((entry) => entry.file)).size).toBe(1)
    const shared = [...pooled.checkpoint.tensors.values()].filter((entry) => !own.includes(entry))
    expect(shared.length).toBe(gpt2.checkpoint.tensors.size - 4)
    for (const entry of shared) expect(gpt2.checkpoint.tensors.get(entry.name)).toEqual(entry)
    const bytes = 2 * 4 * (32 * 48 + 48)
    const { size } = await stat(own[0]?.file ?? '')
    expect(size).toBeGreaterThanOrEqual(bytes)
    expect(size).toBeLessThan(bytes + 2048)
  })

  it("needs 151 MB for gpt2-medium's four K/V heads and 113 MB for one", () => {
    const medium = readModelConfig({ ...findPreset('gpt2-medium').config, num_key_value_heads: 4 }, 'gpt2-medium')
    const bytes = (kvHeads: number) =>
      expectedTensors(readModelConfig({ ...medium.raw, num_key_value_heads: kvHeads }, 'gpt2-medium'))
        .filter((tensor) => tensor.name.includes('c_attn'))
        .reduce((sum, tensor) => sum + 4 * tensor.shape.reduce((product, size) => product * size, 1), 0)
    expect(Math.round(bytes(4) / 1e6)).toBe(151)
    expect(Math.round(bytes(1) / 1e6)).toBe(113)
  })

  it('computes the same logits where the heads of a group were copies of one', async () => {
    // A GQA model, written out as an MHA whose K/V heads repeat within each group: pooling must find it again.
    const grouped = await convert(gpt2, 2)
    const directory = await mkdtemp(join(root, 'copies-'))
    await writeFile(join(directory, 'config.json'), JSON.stringify(gpt2.config.raw))
    const tensors = expectedTensors(gpt2.config).map(async ({ name, shape }) => {
      const values = await valuesOf(grouped, name)
      const [columns = 0, narrow = 0] = [shape.at(-1), grouped.checkpoint.tensors.get(name)?.shape.at(-1)]
      const source = (column: number) => {
        if (column < 32) return column
        const [part, within] = column < 64 ? [32, column - 32] : [40, column - 64]
        return part + Math.floor(within / 4 / 4) * 4 + (within % 4)
      }
      const wide = (index: number) => Math.floor(index / columns) * narrow + source(index % columns)
      return {
        name,
        shape,
        fill: (out: Float32Array, start: number) => {
          for (let i = 0; i < out.length; i++) out[i] = values[narrow === columns ? start + i : wide(start + i)] ?? 0
        },
      }
    })
    await writeSafetensors(join(directory, 'model.safetensors'), await Promise.all(tensors))
    const copies = { checkpoint: await openCheckpoint(directory), config: gpt2.config }

    const logitsOf = async ({ checkpoint, config }: OpenedModel) => {
      const model = await loadModel(checkpoint, config, { provider: 'cpu', threads: 1, logits: 'all' })
      const { data } = await model.forward([[3, 1, 4, 1, 5, 9, 2, 6]], model.createCache())
      await model.close()
      return data
    }
    const [expected, found] = [await logitsOf(copies), await logitsOf(await convert(copies, 2))]
    const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
    expect(largest).toBeGreaterThan(0.1)
    for (const [i, value] of expected.entries()) expect(Math.abs((found[i] ?? 0) - value)).toBeLessThan(1e-5 * largest)
    // Two K/V heads are really two: one head in place of both is another model.
    const other = await logitsOf(await convert(copies, 1))
    expect(other.some((value, i) => Math.abs(value - (expected[i] ?? 0)) > 0.01 * largest)).toBe(true)
  })
})

describe('convertKvHeads of Llama', () => {
  it('pools the rows of k_proj and v_proj and their biases, and nothing else', async () => {
    const pooled = await convert(llama, 2)
    expect(
      ownOf(pooled, llama)
        .map((entry) => entry.name)
        .sort(),
    ).toEqual(
      [0, 1].flatMap((layer) =>
        ['k_proj.bias', 'k_proj.weight', 'v_proj.bias', 'v_proj.weight'].map(
          (part) => `model.layers.${layer}.self_attn.${part}`,
        ),
      ),
    )
    const name = 'model.layers.1.self_attn.v_proj.weight'
    const [before, after] = [await valuesOf(llama, name), await valuesOf(pooled, name)]
    expect(pooled.checkpoint.tensors.get(name)?.shape).toEqual([8, 32])
    for (let i = 0; i < 4 * 32; i++) {
      expect(after[i]).toBe(Math.fround(((before[i] ?? 0) + (before[i + 4 * 32] ?? 0)) / 2))
    }
  })
})

describe('convertKvHeads of Falcon and GPT-NeoX', () => {
  const sizes = { num_hidden_layers: 2, hidden_size: 48, num_attention_heads: 12, vocab_size: 100 }
  const drawn = { ...sizes, max_position_embeddings: 32, initializer_range: 0.4 }
  const falcon = (preset: string, overrides = {}) =>
    openSynthetic({ preset, seed: 7, overrides: { ...drawn, ffn_hidden_size: 40, ...overrides } }, root)
  const neox = (preset: string) =>
    openSynthetic({ preset, seed: 7, overrides: { ...drawn, intermediate_size: 40, rotary_pct: 0.5 } }, root)

  async function logitsOf({ checkpoint, config }: OpenedModel) {
    const model = await loadModel(checkpoint, config, { provider: 'cpu', threads: 1, logits: 'all' })
    const { data } = await model.forward([[3, 1, 4, 1, 5, 9, 2, 6]], model.createCache())
    await model.close()
    return data
  }

  it.each([
    ['falcon-rw-small', {}, 4],
    ['falcon-40b-small', { num_kv_heads: 6 }, 2],
    ['pythia-14m', {}, 3],
  ])('computes with the pooled heads of %s what it does with a copy of them for each old group', async (...row) => {
    const [preset, overrides, kvHeads] = row
    const source = await (preset === 'pythia-14m' ? neox(preset) : falcon(preset, overrides))
    const pooled = await convert(source, kvHeads)
    expect(pooled.config.attention[0]).toMatchObject({ kind: 'GQA', kvHeads })

    // Each old group again, its queries with the K and V that now stand for it.
    const [heads, width] = [12, 4]
    const old = source.config.attention[0]?.kvHeads ?? 0
    const [before, after] = [heads / old, heads / kvHeads]
    const origin = Array.from({ length: old }, (_, group) => {
      const joined = Math.floor((group * before) / after)
      const start = joined * (after + 2)
      const queries = Array.from({ length: before }, (_, query) => start + ((group * before) % after) + query)
      return [...queries, start + after, start + after + 1]
    }).flat()
    const tensors = expectedTensors(source.config).map(async ({ name, shape }) => {
      const values = await valuesOf(pooled, name)
      const head = width * (shape[1] ?? 1)
      const wide = (index: number) => (origin[Math.floor(index / head)] ?? 0) * head + (index % head)
      const from = name.includes('query_key_value') ? wide : (index: number) => index
      return {
        name,
        shape,
        fill: (out: Float32Array, start: number) => {
          for (let i = 0; i < out.length; i++) out[i] = values[from(start + i)] ?? 0
        },
      }
    })
    const directory = await mkdtemp(join(root, 'falcon-copies-'))
    await writeFile(join(directory, 'config.json'), JSON.stringify(source.config.raw))
    await writeSafetensors(join(directory, 'model.safetensors'), await Promise.all(tensors))
    const copies = { checkpoint: await openCheckpoint(directory), config: source.config }

    const [expected, found, unpooled] = [await logitsOf(copies), await logitsOf(pooled), await logitsOf(source)]
    const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
    const off = (other: Float32Array) =>
      expected.reduce((most, v, i) => Math.max(most, Math.abs(v - (other[i] ?? 0))), 0)
    expect(off(found)).toBeLessThan(1e-5 * largest)
    expect(off(unpooled)).toBeGreaterThan(0.01 * largest)
  })

  it('gives the same in one step as in two, down to one K/V head', async () => {
    const source = await falcon('falcon-rw-small')
    const [once, twice] = [await convert(source, 1), await convert(await convert(source, 4), 1)]
    expect(once.config.attention[0]).toMatchObject({ kind: 'MQA', kvHeads: 1 })
    const [a, b] = [await logitsOf(once), await logitsOf(twice)]
    for (const [i, value] of a.entries()) expect(value).toBeCloseTo(b[i] ?? Number.NaN, 3)
  })
})

describe('a conversion', () => {
  it('is written once and found again, and made again where it was damaged', async () => {
    const dataDir = await mkdtemp(join(root, 'data-'))
    const first = await convert(gpt2, 4, 'MEAN', dataDir)
    const [file = ''] = await readdir(join(dataDir, 'weights'))
    expect(file).toMatch(/^gpt2-seed5-\w+-\w+-kv4-mean\.safetensors$/)
    const before = await stat(join(dataDir, 'weights', file))
    const second = await convert(gpt2, 4, 'MEAN', dataDir)
    expect((await stat(join(dataDir, 'weights', file))).ino).toBe(before.ino)
    expect(second.checkpoint).toEqual(first.checkpoint)

    await truncate(join(dataDir, 'weights', file), 500)
    const third = await convert(gpt2, 4, 'MEAN', dataDir)
    expect(await valuesOf(third, 'h.0.attn.c_attn.weight')).toEqual(await valuesOf(first, 'h.0.attn.c_attn.weight'))
  })

  it('has a fingerprint of its own for each source, number of heads and method', async () => {
    const other = await openSynthetic({ preset: 'gpt2', seed: 6, overrides: gpt2.config.raw }, root)
    const models = [
      gpt2,
      await convert(gpt2, 2),
      await convert(gpt2, 1),
      await convert(gpt2, 1, 'FIRST'),
      await convert(other, 1),
    ]
    expect(new Set(models.map((model) => model.checkpoint.fingerprint)).size).toBe(models.length)
    expect((await convert(gpt2, 2)).checkpoint.fingerprint).toBe(models[1]?.checkpoint.fingerprint)
  })

  it('to as many heads as there are is the source itself', async () => {
    expect(await convert(gpt2, 8)).toEqual(gpt2)
  })

  it('can be converted again', async () => {
    const [twice, once] = [await convert(await convert(gpt2, 4), 1), await convert(gpt2, 1)]
    const name = 'h.0.attn.c_attn.weight'
    const [a, b] = [await valuesOf(twice, name), await valuesOf(once, name)]
    expect(a.length).toBe(b.length)
    for (const [i, value] of a.entries()) expect(value).toBeCloseTo(b[i] ?? Number.NaN, 6)
  })

  it('of 16-bit weights is pooled in float32, and the rest stays as it is stored', async () => {
    const directory = await mkdtemp(join(root, 'bf16-'))
    await writeFile(join(directory, 'config.json'), JSON.stringify(gpt2.config.raw))
    const tensors = [...gpt2.checkpoint.tensors.values()]
    const header: Record<string, unknown> = {}
    const data: Buffer[] = []
    let end = 0
    for (const { name, shape } of tensors) {
      const values = await valuesOf(gpt2, name)
      const bits = new Uint32Array(values.buffer)
      const upper = Uint16Array.from(bits, (word) => word >>> 16)
      header[name] = { dtype: 'BF16', shape, data_offsets: [end, end + upper.byteLength] }
      end += upper.byteLength
      data.push(Buffer.from(upper.buffer))
    }
    const json = Buffer.from(JSON.stringify(header))
    const length = Buffer.alloc(8)
    length.writeBigUInt64LE(BigInt(json.length))
    await writeFile(join(directory, 'model.safetensors'), Buffer.concat([length, json, ...data]))
    const half = { checkpoint: await openCheckpoint(directory), config: gpt2.config }

    const pooled = await convert(half, 1)
    expect(pooled.checkpoint.tensors.get('h.0.attn.c_attn.weight')?.dtype).toBe('F32')
    expect(pooled.checkpoint.tensors.get('wte.weight')?.dtype).toBe('BF16')
    const [before, after] = [
      await valuesOf(half, 'h.0.attn.c_attn.weight'),
      await valuesOf(pooled, 'h.0.attn.c_attn.weight'),
    ]
    const eight = Array.from({ length: 8 }, (_, head) => before[32 + head * 4] ?? 0)
    expect(after[32]).toBe(Math.fround(eight.reduce((sum, value) => sum + value, 0) / 8))
    expect(pooled.checkpoint.synthetic).toBe(false)
  })

  it('refuses a number of heads that does not divide the present one, naming both', async () => {
    for (const kvHeads of [3, 16, 0]) {
      await expect(convert(gpt2, kvHeads)).rejects.toMatchObject({
        code: 'VALIDATION_FAILED',
        message: expect.stringMatching(new RegExp(`${kvHeads}.*8 K/V heads`)),
      })
    }
  })

  it.each([['deepseek-v2-lite', /MLA/]])('refuses %s', async (preset, message) => {
    const config = readModelConfig(findPreset(preset).config, preset)
    await expect(convert({ checkpoint: gpt2.checkpoint, config }, 1)).rejects.toMatchObject({
      code: 'CONFIG_UNSUPPORTED',
      message: expect.stringMatching(message),
    })
  })

  it('names a tensor that the source lacks', async () => {
    const tensors = new Map(gpt2.checkpoint.tensors)
    tensors.delete('h.1.attn.c_attn.bias')
    await expect(
      convert({ checkpoint: { ...gpt2.checkpoint, tensors }, config: gpt2.config }, 2),
    ).rejects.toMatchObject({
      code: 'CHECKPOINT_INVALID',
      message: expect.stringMatching(/h\.1\.attn\.c_attn\.bias.*missing/),
    })
  })
})
