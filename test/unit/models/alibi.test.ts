import { resolve } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { readTensor } from '../../../src/checkpoints/read-tensor.ts'
import { readHeader } from '../../../src/checkpoints/safetensors.ts'
import { alibiSlopes } from '../../../src/heads/alibi-baseline.ts'
import { alibiBias } from '../../../src/models/alibi.ts'
import { createGraph } from '../../../src/onnx/graph.ts'
import { encodeModel } from '../../../src/onnx/model-proto.ts'
import { openSession } from '../../../src/onnx/session.ts'

/** transformers' own table at positions up to 2,047 (tools/oracle/falcon_cases.py). */
const file = resolve(import.meta.dirname, '../../golden/falcon/alibi.safetensors')
const tables = new Map<string, Float32Array>()

beforeAll(async () => {
  for (const { dtype, ...tensor } of (await readHeader(file)).tensors) {
    if (dtype !== 'F32' && dtype !== 'BF16') throw new Error(`${tensor.name} is ${dtype}`)
    tables.set(tensor.name, await readTensor({ ...tensor, dtype, file }))
  }
})

const table = (name: string) => tables.get(name) ?? new Float32Array(0)

async function biasOf(heads: number, positions: readonly number[], scale: number): Promise<Float32Array> {
  const graph = createGraph({ fusedMatMul: true })
  const input = graph.input('positions', 'int64', ['T'])
  graph.output('bias', alibiBias(graph, input, heads, scale), 'float32', [1, heads, 1, 'T'])
  const session = await openSession(encodeModel(graph.finish()).bytes, { files: [], provider: 'cpu', threads: 1 })
  const feed = { type: 'int64', data: BigInt64Array.from(positions, BigInt), dims: [positions.length] } as const
  const { bias } = await session.run({ positions: feed }, ['bias'])
  await session.close()
  if (bias?.type !== 'float32') throw new Error('no bias came back')
  return bias.data
}

describe('alibiBias', () => {
  it.each([11, 32, 71])("is transformers' of %i heads, bit for bit, beyond position 256 too", async (heads) => {
    const positions = [...table('positions')]
    expect(Math.max(...positions)).toBe(2047)
    expect(await biasOf(heads, positions, 1)).toEqual(table(`heads${heads}`))
  })

  it('is scaled with the scores', async () => {
    const [plain, halved] = [await biasOf(11, [0, 1, 300], 1), await biasOf(11, [0, 1, 300], 0.5)]
    expect([...halved]).toEqual([...plain].map((value) => value / 2))
  })

  it('loses the last bits of a position beyond 256', async () => {
    const [first = 0, second = 0, third = 0] = await biasOf(1, [256, 257, 258], 1)
    expect([second - first, third - first]).toEqual([0, 2 * (alibiSlopes(1)[0] ?? 0)])
  })
})
