import {
  appendFile,
  cp,
  mkdir,
  mkdtemp,
  open,
  readFile,
  rename,
  rm,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openExport } from '../../../src/checkpoints/onnx-export.ts'
import { readOnnxOutline } from '../../../src/checkpoints/onnx-outline.ts'
import { createGraph } from '../../../src/onnx/graph.ts'
import { encodeModel } from '../../../src/onnx/model-proto.ts'
import { writeExportedCheckpoint } from '../../support/exported-checkpoint.ts'

let root: string
let copies = 0
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'kvscope-export-'))
  await writeExportedCheckpoint(join(root, 'tiny'))
})
afterAll(() => rm(root, { recursive: true }))

async function copy(): Promise<string> {
  copies += 1
  const folder = join(root, `copy${copies}`)
  await cp(join(root, 'tiny'), folder, { recursive: true })
  return folder
}

const graphOf = (folder: string, name = 'model.onnx') => join(folder, 'onnx', name)

/** A graph of one input, one output and, inside the file, one weight of 1,000,000 bytes. */
function inlineGraph(input: string, output: string): Uint8Array {
  const graph = createGraph({ fusedMatMul: false })
  const past = graph.input(input, 'float32', ['batch_size', 1, 'P', 4])
  const sum = graph.node('ReduceSum', [{ name: 'weight' }])
  graph.output(output, graph.node('Add', [past, sum]), 'float32', ['batch_size', 1, 'P', 4])
  const whole = graph.finish()
  whole.inline.push({ name: 'weight', dims: [250_000], data: new Float32Array(250_000) })
  return encodeModel(whole).bytes
}

describe('openExport', () => {
  it('finds the graph and its weights, what they are stored in and how many bytes they take', async () => {
    const { directory, export: found, tensors } = await openExport(join(root, 'tiny'), null)
    expect(found).toMatchObject({ graphName: 'model', dtype: 'fp32', weights: 'F32', cached: 'F32' })
    expect(found.files).toEqual([graphOf(directory), graphOf(directory, 'model.onnx_data')])
    const sizes = await Promise.all(found.files.map(async (file) => (await readFile(file)).length))
    expect(found.bytes).toBe(sizes.reduce((sum, size) => sum + size))
    expect(tensors.size).toBeGreaterThan(10)
  })

  it('changes its fingerprint with the graph, with the weights beside it and with config.json', async () => {
    const folder = await copy()
    const prints = [(await openExport(folder, null)).fingerprint]
    const handle = await open(graphOf(folder, 'model.onnx_data'), 'r+')
    await handle.write(Buffer.of(1, 2, 3, 4), 0, 4, 20_000)
    await handle.close()
    prints.push((await openExport(folder, null)).fingerprint)
    // Another producer's name (field 2 of ModelProto) changes no number, and yet it is another file.
    await appendFile(graphOf(folder), Buffer.from([0x12, 0x01, 0x78]))
    prints.push((await openExport(folder, null)).fingerprint)
    await appendFile(join(folder, 'config.json'), ' ')
    prints.push((await openExport(folder, null)).fingerprint)
    expect(new Set(prints).size).toBe(4)
  })

  it('takes the first dtype that is there, unless config.json or the request names one', async () => {
    const folder = await copy()
    await cp(graphOf(folder), graphOf(folder, 'model_quantized.onnx'))
    expect((await openExport(folder, null)).export.dtype).toBe('fp32')
    const config = { ...JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')) }
    await writeFile(
      join(folder, 'config.json'),
      JSON.stringify({ ...config, 'transformers.js_config': { dtype: { model: 'q8' } } }),
    )
    expect((await openExport(folder, null)).export).toMatchObject({ dtype: 'q8', weights: null })
    expect((await openExport(folder, 'F32')).export.dtype).toBe('fp32')
  })

  it('knows what older exports call the graph', async () => {
    const folder = await copy()
    await rename(graphOf(folder), graphOf(folder, 'decoder_model_merged_fp16.onnx'))
    expect((await openExport(folder, 'F16')).export).toMatchObject({ graphName: 'decoder_model_merged', dtype: 'fp16' })
  })

  it('refuses a graph that caches nothing', async () => {
    const folder = await copy()
    await writeFile(graphOf(folder), inlineGraph('input_ids', 'logits'))
    await expect(openExport(folder, null)).rejects.toMatchObject({
      code: 'CHECKPOINT_INVALID',
      message: expect.stringMatching(/model.onnx takes no past_key_values .* without its KV cache/),
      hint: expect.stringContaining('text-generation-with-past'),
    })
  })

  it('takes weights inside the graph, which it passes over', async () => {
    const folder = await copy()
    await writeFile(graphOf(folder), inlineGraph('past_key_values.0.key', 'present.0.key'))
    const { export: found } = await openExport(folder, null)
    expect(found.files).toEqual([expect.stringMatching(/onnx\/model.onnx$/)])
    expect(found.bytes).toBeGreaterThan(1_000_000)
    const outline = await readOnnxOutline(graphOf(folder))
    expect(outline.inputs).toEqual([{ name: 'past_key_values.0.key', elementType: 1 }])
    expect(outline.weights).toEqual([{ name: 'weight', elementType: 1, elements: 250_000, location: null }])
  })

  it('refuses weights that are not beside the graph', async () => {
    const folder = await copy()
    await rm(graphOf(folder, 'model.onnx_data'))
    await expect(openExport(folder, null)).rejects.toMatchObject({
      code: 'CHECKPOINT_INVALID',
      message: expect.stringContaining('"model.onnx_data"'),
    })
  })

  it.each([
    ['onnx', async (folder: string) => rename(join(folder, 'onnx'), join(root, `out${copies}`))],
    ['onnx/model.onnx', async (folder: string) => rename(graphOf(folder), join(root, `out${copies}`))],
    [
      'onnx/model.onnx_data',
      async (folder: string) => rename(graphOf(folder, 'model.onnx_data'), join(root, `out${copies}`)),
    ],
  ])('refuses %s where it is a link that leads out of its folder', async (name, move) => {
    const folder = await copy()
    await move(folder)
    await symlink(join(root, `out${copies}`), join(folder, name))
    await expect(openExport(folder, null)).rejects.toMatchObject({ code: 'PATH_FORBIDDEN' })
  })

  it('refuses weights whose name in the graph leads out of the folder', async () => {
    const folder = await copy()
    const bytes = await readFile(graphOf(folder))
    const from = Buffer.from('model.onnx_data')
    const to = Buffer.from('../config.json/')
    for (let at = bytes.indexOf(from); at >= 0; at = bytes.indexOf(from)) to.copy(bytes, at)
    await writeFile(graphOf(folder), bytes)
    await expect(openExport(folder, null)).rejects.toMatchObject({ code: 'PATH_FORBIDDEN' })
  })

  it('says so where onnx is no folder', async () => {
    const folder = await copy()
    await rm(join(folder, 'onnx'), { recursive: true })
    await writeFile(join(folder, 'onnx'), 'x')
    await expect(openExport(folder, null)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await rm(join(folder, 'onnx'))
    await mkdir(join(folder, 'onnx'))
    await expect(openExport(folder, null)).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining('model.onnx, decoder_model_merged.onnx, model_fp16.onnx'),
    })
  })
})

describe('readOnnxOutline', () => {
  const refused = async (bytes: Uint8Array | number[]) => {
    const file = join(root, 'forged.onnx')
    await writeFile(file, Uint8Array.from(bytes))
    return expect(readOnnxOutline(file)).rejects
  }
  const code = { code: 'CHECKPOINT_INVALID' }

  it('refuses a file that breaks off, wherever', async () => {
    const folder = await copy()
    const whole = await readFile(graphOf(folder))
    for (let length = 1; length < whole.length; length += 997) {
      await truncate(graphOf(folder), whole.length - length)
      await expect(readOnnxOutline(graphOf(folder))).rejects.toMatchObject(code)
    }
  })

  it('refuses what is no ONNX model', async () => {
    await (await refused([])).toMatchObject({ ...code, message: expect.stringContaining('0 graphs') })
    await (await refused(Buffer.from('{"model_type": "gpt2"}'))).toMatchObject(code)
    await (await refused(new Array<number>(40).fill(0xff))).toMatchObject(code)
    // A graph of 2^62 bytes, and a name of more than any graph has.
    await (await refused([0x3a, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40])).toMatchObject(code)
    const name = new Array<number>(70_000).fill(0x61)
    const lengthOf = (count: number) => [(count & 0x7f) | 0x80, ((count >> 7) & 0x7f) | 0x80, count >> 14]
    const value = [0x0a, ...lengthOf(name.length), ...name]
    const input = [0x5a, ...lengthOf(value.length), ...value]
    await (await refused([0x3a, ...lengthOf(input.length), ...input])).toMatchObject({
      ...code,
      message: expect.stringContaining('70000 bytes'),
    })
  })
})
