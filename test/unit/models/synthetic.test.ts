import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, realpath, rm, stat, truncate, utimes } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readTensor } from '../../../src/checkpoints/read-tensor.ts'
import { loadModel } from '../../../src/models/runner.ts'
import { type OpenedModel, openDrawn, openSynthetic } from '../../../src/models/synthetic.ts'
import { compiledFile } from '../../../src/package-folder.ts'

let root = ''
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'kvscope-synthetic-'))
})
afterAll(() => rm(root, { recursive: true, force: true }))

const newDataDir = () => mkdtemp(join(root, 'data-'))

const small = { n_layer: 2, n_head: 4, n_embd: 64, n_positions: 32, n_ctx: 32, vocab_size: 4096 }
const tiny = { preset: 'gpt2', seed: 1, overrides: small }

async function valuesOf({ checkpoint }: OpenedModel, name: string): Promise<Float32Array> {
  const entry = checkpoint.tensors.get(name)
  if (!entry) throw new Error(`no tensor ${name}`)
  return readTensor(entry)
}

function deviation(values: Float32Array): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length)
}

const fileOf = ({ checkpoint }: OpenedModel) => join(checkpoint.directory, 'model.safetensors')

describe('openSynthetic', () => {
  it("draws each tensor as GPT-2's initialiser does", async () => {
    const model = await openSynthetic(tiny, await newDataDir())
    expect(model.checkpoint.synthetic).toBe(true)
    // Standard errors: 0.02 / sqrt(2 n), n from 4,096 to 262,144; bounds are five of them.
    for (const [name, expected, count] of [
      ['wte.weight', 0.02, 262_144],
      ['h.0.attn.c_attn.weight', 0.02, 12_288],
      ['h.1.mlp.c_fc.weight', 0.02, 16_384],
      ['h.0.attn.c_proj.weight', 0.02 / Math.sqrt(2 * 2), 4096],
      ['h.1.mlp.c_proj.weight', 0.02 / Math.sqrt(2 * 2), 16_384],
    ] as const) {
      const values = await valuesOf(model, name)
      expect(values.length).toBe(count)
      expect(Math.abs(deviation(values) - expected), name).toBeLessThan((5 * expected) / Math.sqrt(2 * count))
    }
    expect([...(await valuesOf(model, 'h.0.attn.c_attn.bias'))].every((value) => value === 0)).toBe(true)
    expect([...(await valuesOf(model, 'h.0.ln_1.weight'))].every((value) => value === 1)).toBe(true)
    expect([...(await valuesOf(model, 'ln_f.bias'))].every((value) => value === 0)).toBe(true)
  })

  const rows = { num_hidden_layers: 2, hidden_size: 48, vocab_size: 512, max_position_embeddings: 32 }
  it.each([
    ['falcon-rw-small', rows, 'h.0.self_attention.query_key_value.weight', 3 * 48],
    ['falcon-7b-small', rows, 'h.0.self_attention.query_key_value.weight', 48 + 2 * 4],
    ['falcon-40b-small', rows, 'h.0.self_attention.query_key_value.weight', 48 + 2 * 4 * 4],
    ['falcon-11b', { ...rows, hidden_size: 64 }, 'h.0.self_attention.query_key_value.weight', 64 + 2 * 8 * 2],
    ['tiny-starcoder-py', { n_layer: 2, n_embd: 48, n_positions: 32, vocab_size: 512 }, 'h.0.attn.c_attn.weight', 56],
  ])('draws %s so that it runs', async (preset, overrides, fused, width) => {
    const { checkpoint, config } = await openSynthetic({ preset, seed: 3, overrides }, await newDataDir())
    expect(checkpoint.tensors.get(fused)?.shape[0]).toBe(width)
    const model = await loadModel(checkpoint, config, { provider: 'cpu', threads: 1 })
    const cache = model.createCache()
    await model.forward([[1, 2, 3]], cache)
    const { data } = await model.forward([[4]], cache)
    await model.close()
    expect(data.every(Number.isFinite)).toBe(true)
    expect(deviation(data)).toBeGreaterThan(0)
  })

  it('makes the same bytes from the same seed in another folder', async () => {
    const [first, second] = [
      await openSynthetic(tiny, await newDataDir()),
      await openSynthetic(tiny, await newDataDir()),
    ]
    expect((await readFile(fileOf(first))).equals(await readFile(fileOf(second)))).toBe(true)
    expect(first.checkpoint.fingerprint).toBe(second.checkpoint.fingerprint)
  })

  it('keeps other seeds and other configs apart', async () => {
    const dataDir = await newDataDir()
    const models = [
      await openSynthetic(tiny, dataDir),
      await openSynthetic({ ...tiny, seed: 2 }, dataDir),
      await openSynthetic({ ...tiny, overrides: { ...small, layer_norm_epsilon: 1e-6 } }, dataDir),
    ]
    expect(new Set(models.map((model) => model.checkpoint.directory)).size).toBe(3)
    expect(new Set(models.map((model) => model.checkpoint.fingerprint)).size).toBe(3)
  })

  it('draws a tensor by its name alone, whatever else the model holds', async () => {
    const dataDir = await newDataDir()
    const narrow = await openSynthetic(tiny, dataDir)
    const wide = await openSynthetic({ ...tiny, overrides: { ...small, n_layer: 3, vocab_size: 100 } }, dataDir)
    const name = 'h.1.attn.c_attn.weight'
    expect(await valuesOf(wide, name)).toEqual(await valuesOf(narrow, name))
  })

  it('draws the Llama family too', async () => {
    const overrides = { num_hidden_layers: 2, hidden_size: 64, intermediate_size: 96, vocab_size: 512 }
    const heads = { num_attention_heads: 4, num_key_value_heads: 2, head_dim: 16 }
    const source = { preset: 'llama-2-7b', seed: 3, overrides: { ...overrides, ...heads } }
    const model = await openSynthetic(source, await newDataDir())
    expect(model.config.attention[0]).toMatchObject({ kind: 'GQA', kvHeads: 2 })
    expect(deviation(await valuesOf(model, 'model.embed_tokens.weight'))).toBeCloseTo(0.02, 3)
    expect([...(await valuesOf(model, 'model.norm.weight'))].every((value) => value === 1)).toBe(true)
  })

  it('tells its progress once, and writes nothing the second time', async () => {
    const dataDir = await newDataDir()
    const fractions: number[] = []
    const model = await openSynthetic(tiny, dataDir, (fraction) => fractions.push(fraction))
    expect(fractions.at(-1)).toBe(1)
    expect(fractions).toEqual([...fractions].sort((a, b) => a - b))
    expect(fractions.length).toBeGreaterThan(10)

    const before = await stat(fileOf(model))
    const told: number[] = []
    await openSynthetic(tiny, dataDir, (fraction) => told.push(fraction))
    expect(told).toEqual([])
    expect((await stat(fileOf(model))).ino).toBe(before.ino)
  })

  it('lets other work go on between the pieces of a file', async () => {
    let turns = 0
    const ticking = setInterval(() => turns++, 0)
    await openSynthetic({ ...tiny, overrides: { ...small, vocab_size: 200_000 } }, await newDataDir())
    clearInterval(ticking)
    expect(turns).toBeGreaterThan(3)
  })

  it('leaves nothing when it is stopped from its progress', async () => {
    const dataDir = await newDataDir()
    const stop = () => {
      throw new Error('stopped')
    }
    await expect(openSynthetic(tiny, dataDir, stop)).rejects.toThrow('stopped')
    const [folder = ''] = await readdir(join(dataDir, 'weights'))
    expect(await readdir(join(dataDir, 'weights', folder))).toEqual(['config.json'])
  })

  it('leaves no half file when it is killed, and clears up on the next start', async () => {
    const dataDir = await newDataDir()
    const script = `
      const { openSynthetic } = await import(${JSON.stringify(compiledFile('src/models/synthetic.ts'))})
      await openSynthetic(${JSON.stringify(tiny)}, ${JSON.stringify(dataDir)}, (fraction) => {
        if (fraction > 0.5) process.kill(process.pid, 'SIGKILL')
      })`
    const killed = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: 'inherit',
    })
    expect((await once(killed, 'exit'))[1]).toBe('SIGKILL')

    const [folder = ''] = await readdir(join(dataDir, 'weights'))
    const directory = join(dataDir, 'weights', folder)
    const left = (await readdir(directory)).filter((name) => name !== 'config.json')
    expect(left).toEqual([expect.stringMatching(/^model\.safetensors\..+\.part$/)])
    // Ten seconds without a byte, from a process that is gone: nobody will finish it.
    const earlier = new Date(Date.now() - 11_000)
    await utimes(join(directory, left[0] ?? ''), earlier, earlier)

    const whole = await openSynthetic(tiny, dataDir)
    expect((await readdir(directory)).sort()).toEqual(['config.json', 'model.safetensors'])
    const undisturbed = await openSynthetic(tiny, await newDataDir())
    expect(whole.checkpoint.fingerprint).toBe(undisturbed.checkpoint.fingerprint)
  })

  it('lets several write at once, and each opens a whole checkpoint', async () => {
    const dataDir = await newDataDir()
    const models = await Promise.all([1, 2, 3].map(() => openSynthetic(tiny, dataDir)))
    expect(new Set(models.map((model) => model.checkpoint.fingerprint)).size).toBe(1)
    const [first] = models
    expect((await readdir(first?.checkpoint.directory ?? '')).sort()).toEqual(['config.json', 'model.safetensors'])
  })

  it('makes a file again that has lost its end', async () => {
    const dataDir = await newDataDir()
    const model = await openSynthetic(tiny, dataDir)
    await truncate(fileOf(model), 100_000)
    const again = await openSynthetic(tiny, dataDir)
    expect(again.checkpoint.fingerprint).toBe(model.checkpoint.fingerprint)
  })

  it('says how much disk it lacks before it writes', async () => {
    const dataDir = await newDataDir()
    const enormous = { preset: 'gpt3-175b', seed: 0, overrides: { n_layer: 1024 } }
    await expect(openSynthetic(enormous, dataDir)).rejects.toMatchObject({
      code: 'OUT_OF_DISK',
      message: expect.stringMatching(/needs \d+\.\d+ GiB/),
    })
  })

  it.each([
    [{ ...tiny, preset: 'gpt7' }, 'NOT_FOUND', 'gpt7'],
    [{ ...tiny, overrides: { ...small, n_head: 0 } }, 'CONFIG_UNSUPPORTED', 'n_head'],
    [{ ...tiny, overrides: { ...small, activation_function: 'tanhshrink' } }, 'CONFIG_UNSUPPORTED', 'tanhshrink'],
    [
      { preset: 'deepseek-v2-lite', seed: 0, overrides: { norm_topk_prob: true } },
      'CONFIG_UNSUPPORTED',
      'norm_topk_prob',
    ],
  ])('refuses %j before it writes', async (source, code, named) => {
    const dataDir = await newDataDir()
    await expect(openSynthetic(source, dataDir)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(named),
    })
    expect(await readdir(dataDir)).toEqual([])
  })
})

describe('openDrawn', () => {
  it('draws for a model of any name, in a folder of its own below the weights', async () => {
    const dataDir = await newDataDir()
    const { config } = await openSynthetic(tiny, dataDir)
    const name = `my model ../${'x'.repeat(240)}`
    const { checkpoint } = await openDrawn({ config: { ...config, name }, seed: 5, layers: 1 }, dataDir)
    expect(relative(await realpath(join(dataDir, 'weights')), checkpoint.directory)).toMatch(
      /^my_model_\.\._x{88}-seed5-layers1-[0-9a-f]{12}$/,
    )
    expect([...checkpoint.tensors.keys()].filter((tensor) => tensor.startsWith('h.1.'))).toEqual([])
  })
})
