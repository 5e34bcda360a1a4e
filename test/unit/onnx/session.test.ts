import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createGraph, type GraphBuilder } from '../../../src/onnx/graph.ts'
import { encodeModel } from '../../../src/onnx/model-proto.ts'
import { add, matMul, matMulTransposed } from '../../../src/onnx/ops.ts'
import { openSession, type Tensor } from '../../../src/onnx/session.ts'

const floats = (data: readonly number[], dims: readonly number[]): Tensor => ({
  type: 'float32',
  data: Float32Array.from(data),
  dims,
})

function open(g: GraphBuilder, provider: 'cpu' | 'dml' | 'coreml' = 'cpu') {
  const { bytes, files } = encodeModel(g.finish())
  return openSession(bytes, { files, provider, threads: 1 })
}

describe('a session', () => {
  let folder = ''

  beforeAll(async () => {
    folder = await realpath(await mkdtemp(join(tmpdir(), 'kvscope-session-')))
    for (const part of ['one', 'two']) await mkdir(join(folder, part))
    // Thirteen bytes before the values: safetensors headers leave offsets that no alignment rules.
    const values = Buffer.from(Float32Array.from([1, 2, 3, 4]).buffer)
    await writeFile(join(folder, 'one', 'a.bin'), Buffer.concat([Buffer.alloc(13), values]))
    await writeFile(join(folder, 'two', 'b.bin'), Buffer.from(Float32Array.from([10, 20]).buffer))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  const weight = (g: GraphBuilder, offset = 13) =>
    g.external({ name: 'a', type: 'float32', dims: [2, 2], file: join(folder, 'one', 'a.bin'), offset, length: 16 })

  it('reads weights where they lie, at odd offsets and in files of different folders', async () => {
    const g = createGraph({ fusedMatMul: true })
    const bias = {
      name: 'b',
      type: 'float32',
      dims: [2],
      file: join(folder, 'two', 'b.bin'),
      offset: 0,
      length: 8,
    } as const
    const y = add(g, matMul(g, g.input('x', 'float32', ['S', 2]), weight(g)), g.external(bias))
    g.output('y', y, 'float32', ['S', 2])
    const session = await open(g)
    const x = floats([1, 1, 0, 2], [2, 2])
    expect(await session.run({ x }, ['y'])).toEqual({ y: floats([14, 26, 16, 28], [2, 2]) })
    await session.close()
  })

  it.each([
    ['FusedMatMul', true],
    ['Transpose and MatMul', false],
  ])('multiplies by a transposed matrix with %s', async (_, fusedMatMul) => {
    const g = createGraph({ fusedMatMul })
    const y = matMulTransposed(g, g.input('x', 'float32', [1, 1, 2]), g.input('w', 'float32', [1, 3, 2]), 3, 0.5)
    g.output('y', y, 'float32', [1, 1, 3])
    const session = await open(g)
    const feeds = { x: floats([2, 4], [1, 1, 2]), w: floats([1, 0, 0, 1, 1, 1], [1, 3, 2]) }
    expect(await session.run(feeds, ['y'])).toEqual({ y: floats([1, 2, 3], [1, 1, 3]) })
    await session.close()
  })

  it('says that weights are damaged when a file is shorter than it was', async () => {
    const g = createGraph({ fusedMatMul: true })
    g.output('y', matMul(g, g.input('x', 'float32', ['S', 2]), weight(g, 14)), 'float32', ['S', 2])
    await expect(open(g)).rejects.toMatchObject({ code: 'CHECKPOINT_INVALID' })
  })

  it('says that a device is missing when the runtime has no such provider', async () => {
    const g = createGraph({ fusedMatMul: true })
    const x = g.input('x', 'float32', [1])
    g.output('y', add(g, x, x), 'float32', [1])
    const missing = process.platform === 'win32' ? 'coreml' : 'dml'
    await expect(open(g, missing)).rejects.toMatchObject({ code: 'DEVICE_UNAVAILABLE' })
  })

  it('says that memory ran out when the runtime cannot get what an operator needs', async () => {
    const g = createGraph({ fusedMatMul: true })
    const product = matMul(g, g.input('x', 'float32', ['S', 1]), g.input('z', 'float32', [1, 'T']))
    g.output('y', product, 'float32', ['S', 'T'])
    const session = await open(g)
    const many = new Float32Array(2_000_000)
    // 16 TB: more than any machine's address space is asked to commit.
    const feeds = {
      x: { type: 'float32', data: many, dims: [many.length, 1] },
      z: { type: 'float32', data: many, dims: [1, many.length] },
    } as const
    await expect(session.run(feeds, ['y'])).rejects.toMatchObject({ code: 'OUT_OF_MEMORY' })
    await session.close()
  })
})
