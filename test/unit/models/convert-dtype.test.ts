import { mkdir, mkdtemp, readdir, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { expectedTensors } from '../../../src/architecture/expected-tensors.ts'
import { storedDtype } from '../../../src/bench/stored-dtype.ts'
import type { WeightDtype } from '../../../src/checkpoints/checkpoint.ts'
import { openCheckpoint } from '../../../src/checkpoints/open.ts'
import { readTensor } from '../../../src/checkpoints/read-tensor.ts'
import { type TensorToWrite, writeSafetensors } from '../../../src/checkpoints/write-safetensors.ts'
import { convertKvHeads } from '../../../src/models/convert.ts'
import { convertDtype, dtypeFile } from '../../../src/models/convert-dtype.ts'
import { loadModel } from '../../../src/models/runner.ts'
import { type OpenedModel, openSynthetic, weightsFolder } from '../../../src/models/synthetic.ts'
import { fromHalfBits, toHalfBits } from '../../../src/render/half-float.ts'

let root = ''
let gpt2: OpenedModel
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'kvscope-dtype-'))
  const sizes = { n_layer: 2, n_head: 4, n_embd: 32, n_positions: 32, n_ctx: 32, vocab_size: 100 }
  gpt2 = await openSynthetic({ preset: 'gpt2', seed: 5, overrides: { ...sizes, initializer_range: 0.4 } }, root)
})
afterAll(() => rm(root, { recursive: true, force: true }))

const convert = ({ checkpoint, config }: OpenedModel, dtype: WeightDtype, onProgress?: (fraction: number) => void) =>
  convertDtype(checkpoint, config, dtype, root, onProgress)

async function valuesOf({ checkpoint }: OpenedModel, name: string): Promise<Float32Array> {
  const entry = checkpoint.tensors.get(name)
  if (!entry) throw new Error(`no tensor ${name}`)
  return readTensor(entry)
}

async function logitsOf({ checkpoint, config }: OpenedModel): Promise<number[]> {
  const model = await loadModel(checkpoint, config, { provider: 'cpu', threads: 1 })
  try {
    return [...(await model.forward([[1, 2, 3, 99]], model.createCache())).data]
  } finally {
    await model.close()
  }
}

describe('convertDtype', () => {
  it('rounds every weight to the nearest half-float, and the engine runs what was stored', async () => {
    const heard: number[] = []
    const halves = await convert(gpt2, 'F16', (fraction) => heard.push(fraction))
    for (const { name } of expectedTensors(gpt2.config)) {
      expect(halves.checkpoint.tensors.get(name)?.dtype).toBe('F16')
      const wanted = (await valuesOf(gpt2, name)).map((value) => fromHalfBits(toHalfBits(value)))
      expect(await valuesOf(halves, name)).toEqual(wanted)
    }
    expect(heard.at(-1)).toBe(1)
    expect(storedDtype(halves.checkpoint, halves.config)).toBe('F16')
    expect(halves.checkpoint.synthetic).toBe(true)
    const [rounded, whole] = [await logitsOf(halves), await logitsOf(gpt2)]
    expect(rounded).not.toEqual(whole)
    // Its widened copy means the same weights: the same numbers to the bit.
    const widened = await convert(halves, 'F32')
    expect(storedDtype(widened.checkpoint, widened.config)).toBe('F32')
    expect(await logitsOf(widened)).toEqual(rounded)
  })

  it('keeps 8 bits of fraction in BF16, and takes half of the bytes', async () => {
    const brains = await convert(gpt2, 'BF16')
    for (const value of await valuesOf(brains, 'wte.weight')) {
      expect(new Uint32Array(Float32Array.of(value).buffer)[0]).toSatisfy((word: number) => word % 0x10000 === 0)
    }
    const written = await stat(dtypeFile(gpt2.checkpoint, 'BF16', root))
    const whole = await stat(join(gpt2.checkpoint.directory, 'model.safetensors'))
    expect(written.size / whole.size).toBeLessThan(0.6)
  })

  it('writes nothing where the weights are of that type already, and once where they are not', async () => {
    expect(await convert(gpt2, 'F32')).toEqual(gpt2)
    const first = await convert(gpt2, 'F16')
    const heard: number[] = []
    expect(await convert(gpt2, 'F16', (fraction) => heard.push(fraction))).toEqual(first)
    expect(heard).toEqual([])
    expect((await readdir(weightsFolder(root))).filter((name) => name.endsWith('.part'))).toEqual([])
  })

  it('writes a damaged copy again', async () => {
    const first = await convert(gpt2, 'F16')
    await truncate(dtypeFile(gpt2.checkpoint, 'F16', root), 1000)
    expect(await convert(gpt2, 'F16')).toEqual(first)
    expect(await logitsOf(await convert(gpt2, 'F16'))).toEqual(await logitsOf(first))
  })

  it('tells copies of one source apart by fingerprint', async () => {
    const prints = [gpt2, await convert(gpt2, 'F16'), await convert(gpt2, 'BF16')].map(
      (one) => one.checkpoint.fingerprint,
    )
    expect(new Set(prints).size).toBe(3)
  })

  it('rounds pooled heads with the rest, after they are pooled from the stored values', async () => {
    const { checkpoint, config } = gpt2
    const pooled = await convertKvHeads(checkpoint, config, { kvHeads: 1, method: 'MEAN' }, root)
    const halves = await convert(pooled, 'F16')
    const name = 'h.1.attn.c_attn.weight'
    expect(halves.checkpoint.tensors.get(name)).toMatchObject({ dtype: 'F16', shape: [32, 32 + 2 * 8] })
    const wanted = (await valuesOf(pooled, name)).map((value) => fromHalfBits(toHalfBits(value)))
    expect(await valuesOf(halves, name)).toEqual(wanted)
    expect((await logitsOf(halves)).every(Number.isFinite)).toBe(true)
  })

  it('leaves what the model does not read as it is', async () => {
    const folder = join(root, 'with-mask')
    await mkdir(folder)
    await writeFile(join(folder, 'config.json'), JSON.stringify(gpt2.config.raw))
    const tensors: TensorToWrite[] = [...gpt2.checkpoint.tensors.values()].map((entry) => ({
      name: entry.name,
      shape: entry.shape,
      fill: async (out, start) => out.set((await readTensor(entry)).subarray(start, start + out.length)),
    }))
    tensors.push({ name: 'h.0.attn.masked_bias', shape: [], fill: (out) => void out.fill(-1e9) })
    await writeSafetensors(join(folder, 'model.safetensors'), tensors)
    const halves = await convert({ checkpoint: await openCheckpoint(folder), config: gpt2.config }, 'F16')
    expect(halves.checkpoint.tensors.get('h.0.attn.masked_bias')?.dtype).toBe('F32')
    expect((await logitsOf(halves)).every(Number.isFinite)).toBe(true)
  })

  it('refuses a weight beyond the largest half-float, by name and place, and leaves no file', async () => {
    const folder = join(root, 'large')
    await mkdir(folder)
    await writeFile(join(folder, 'config.json'), JSON.stringify(gpt2.config.raw))
    const tensors = expectedTensors(gpt2.config).map(({ name, shape }) => ({
      name,
      shape,
      fill(out: Float32Array, start: number) {
        out.fill(0.5)
        if (name === 'h.1.mlp.c_fc.weight' && start === 0) out[7] = 70_000
      },
    }))
    await writeSafetensors(join(folder, 'model.safetensors'), tensors)
    const large = { checkpoint: await openCheckpoint(folder), config: gpt2.config }
    await expect(convert(large, 'F16')).rejects.toMatchObject({
      code: 'CONFIG_UNSUPPORTED',
      message: 'tensor "h.1.mlp.c_fc.weight" holds 70000 at 7, beyond 65504, the largest number of F16',
      hint: expect.stringContaining('BF16'),
    })
    const written = (await readdir(weightsFolder(root))).filter((name) => name.startsWith('large'))
    expect(written).toEqual([])
    expect((await valuesOf(await convert(large, 'BF16'), 'h.1.mlp.c_fc.weight'))[7]).toBe(70_144)
  })
})
