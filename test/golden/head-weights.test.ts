import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readModelConfig } from '../../src/architecture/read-config.ts'
import { openCheckpoint } from '../../src/checkpoints/open.ts'
import { readTensor } from '../../src/checkpoints/read-tensor.ts'
import { readHeader } from '../../src/checkpoints/safetensors.ts'
import { projections } from '../../src/heads/rows.ts'
import { locateHeadMatrix, matrixCount, matrixShape } from '../../src/models/head-weights.ts'
import { readHeadMatrices } from '../../src/models/read-head-weights.ts'
import { readAllCases } from '../support/golden.ts'

/** Every checkpoint that the oracle wrote. What a latent cache is made of is cut otherwise: it has no heads. */
const cases = [...new Set((await readAllCases()).flatMap(({ name, kvHeads }) => (kvHeads === null ? [] : [name])))]

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

describe("every head's W_Q, W_K, W_V and W_O", () => {
  it.each(cases)('of %s are those that transformers cuts out of the checkpoint, bit for bit', async (name) => {
    const folder = join(import.meta.dirname, name)
    const checkpoint = await openCheckpoint(folder)
    const config = readModelConfig(checkpoint.config, name)
    const layer = config.layers - 1
    const cut = await readCut(folder)
    const kvHeads = config.attention[layer]?.kvHeads ?? 0
    expect(cut.size).toBe(2 * (config.heads + kvHeads))
    for (const projection of projections) {
      const places = Array.from({ length: matrixCount(projection, config.heads, kvHeads) }, (_, matrix) =>
        locateHeadMatrix(config, layer, projection, matrix),
      )
      const read = await readHeadMatrices(checkpoint, places)
      for (const [matrix, place] of places.entries()) {
        const expected = cut.get(`layer.${layer}.${projection}.${matrix}`)
        if (expected === undefined) throw new Error(`no ${projection} ${matrix}`)
        const [rows, columns] = matrixShape(place)
        expect(expected.shape[1]).toBe(columns)
        // The files hold the first 16 rows of W_Q, W_K and W_V, and the whole W_O.
        expect(expected.shape[0]).toBe(projection === 'O' ? rows : 16)
        expect(read[matrix]).toHaveLength(rows * columns)
        expect(read[matrix]?.subarray(0, expected.values.length)).toEqual(expected.values)
      }
    }
  })
})
