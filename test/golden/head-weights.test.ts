import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readModelConfig } from '../../src/architecture/read-config.ts'
import { openCheckpoint } from '../../src/checkpoints/open.ts'
import { readTensor } from '../../src/checkpoints/read-tensor.ts'
import { readHeader } from '../../src/checkpoints/safetensors.ts'
import type { Projection } from '../../src/heads/rows.ts'
import { findHeadMatrices, matrixShape, placeOf } from '../../src/models/head-weights.ts'
import { readMatrixSources } from '../../src/models/read-matrix-sources.ts'
import { largestDifference, readAllCases } from '../support/golden.ts'

/** Every checkpoint that the oracle wrote, and whether it caches a latent. */
const latent = new Map((await readAllCases()).map(({ name, kvHeads }) => [name, kvHeads === null]))
const named = (isLatent: boolean) => [...latent].flatMap(([name, is]) => (is === isLatent ? [name] : []))

/** Each head's matrices as transformers' own modules cut them out, by `layer.1.K.0`. */
async function readCut(folder: string): Promise<Map<string, { shape: number[]; values: Float32Array }>> {
  const file = join(folder, 'head-weights.safetensors')
  const cut = new Map<string, { shape: number[]; values: Float32Array }>()
  for (const tensor of (await readHeader(file)).tensors) {
    if (tensor.dtype !== 'F32') throw new Error(`${tensor.name} is ${tensor.dtype}`)
    cut.set(tensor.name, { shape: tensor.shape, values: await readTensor({ ...tensor, dtype: 'F32', file }) })
  }
  return cut
}

/** All of a projection of the last layer: each as it is read, and as it was cut out. */
async function readBoth(name: string, projections: readonly Projection[]) {
  const folder = join(import.meta.dirname, name)
  const checkpoint = await openCheckpoint(folder)
  const config = readModelConfig(checkpoint.config, name)
  const layer = config.layers - 1
  const cut = await readCut(folder)
  const found = projections.map((projection) => findHeadMatrices(config, layer, projection))
  const read = await readMatrixSources(checkpoint, found.flat())
  const both = found.flatMap((sources, index) =>
    sources.map((source, matrix) => {
      const expected = cut.get(`layer.${layer}.${projections[index]}.${matrix}`)
      if (expected === undefined) throw new Error(`no ${projections[index]} ${matrix}`)
      return { projection: projections[index], shape: matrixShape(placeOf(source)), expected }
    }),
  )
  return { size: cut.size, both: both.map((one, index) => ({ ...one, values: read[index] ?? new Float32Array(0) })) }
}

describe("every head's W_Q, W_K, W_V and W_O", () => {
  it.each(named(false))('of %s are those that transformers cuts out of the checkpoint, bit for bit', async (name) => {
    const { size, both } = await readBoth(name, ['Q', 'K', 'V', 'O'])
    expect(both).toHaveLength(size)
    for (const { projection, shape, expected, values } of both) {
      const [rows, columns] = shape
      // The files hold the first 16 rows of W_Q, W_K and W_V, and the whole W_O.
      expect(expected.shape).toEqual([projection === 'O' ? rows : 16, columns])
      expect(values).toHaveLength(rows * columns)
      expect(values.subarray(0, expected.values.length)).toEqual(expected.values)
    }
  })
})

describe("MLA's matrices", () => {
  it.each(named(true))(
    'of %s are those that transformers cuts out, and the absorbed forms their products',
    async (name) => {
      const { size, both } = await readBoth(name, ['Q', 'DKV', 'UK', 'UV', 'O', 'QUK', 'UVO'])
      expect(both).toHaveLength(size)
      for (const { projection, shape, expected, values } of both) {
        const [rows, columns] = shape
        expect(expected.shape).toEqual([
          projection === 'O' || projection === 'UVO' ? rows : Math.min(16, rows),
          columns,
        ])
        expect(values).toHaveLength(rows * columns)
        const first = values.subarray(0, expected.values.length)
        if (projection !== 'QUK' && projection !== 'UVO') expect(first).toEqual(expected.values)
        else expect(largestDifference(first, expected.values)).toBeLessThan(1e-6)
      }
    },
  )
})
