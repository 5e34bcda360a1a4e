import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { expectedTensors } from '../../../src/architecture/expected-tensors.ts'
import { headMatrices } from '../../../src/architecture/head-matrices.ts'
import type { ModelConfig } from '../../../src/architecture/model-config.ts'
import { readModelConfig } from '../../../src/architecture/read-config.ts'
import type { Checkpoint } from '../../../src/checkpoints/checkpoint.ts'
import { openCheckpoint } from '../../../src/checkpoints/open.ts'
import { writeSafetensors } from '../../../src/checkpoints/write-safetensors.ts'
import type { StoredProjection } from '../../../src/heads/rows.ts'
import { convertKvHeads } from '../../../src/models/convert.ts'
import { firstOf, locateHeadMatrix, matrixShape } from '../../../src/models/head-weights.ts'
import { readHeadMatrices, readHeadMatrix } from '../../../src/models/read-head-weights.ts'
import { rewriteCheckpoint } from '../../support/rewritten-checkpoint.ts'

const folder = mkdtempSync(join(tmpdir(), 'kvscope-head-weights-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const golden = (name: string) => join(import.meta.dirname, '../../golden', name)

async function openGolden(name: string): Promise<{ checkpoint: Checkpoint; config: ModelConfig }> {
  const checkpoint = await openCheckpoint(golden(name))
  return { checkpoint, config: readModelConfig(checkpoint.config, name) }
}

/** Every K or V matrix of a layer. */
function readAll(checkpoint: Checkpoint, config: ModelConfig, projection: StoredProjection, layer = 0) {
  const { count } = headMatrices(config, layer, projection)
  const places = Array.from({ length: count }, (_, matrix) => locateHeadMatrix(config, layer, projection, matrix))
  return readHeadMatrices(checkpoint, places)
}

const llamaLike = { num_hidden_layers: 2, hidden_size: 24, intermediate_size: 32, vocab_size: 50 }

/** Configs whose families no oracle covers, each with the tensor and the first row or column of W_K of K/V head 1. */
const others = [
  {
    raw: { model_type: 'gpt_neox', ...llamaLike, num_attention_heads: 4, max_position_embeddings: 32 },
    place: { tensor: 'gpt_neox.layers.1.attention.query_key_value.weight', rows: { start: 4 * 6, count: 6 } },
  },
  {
    raw: { model_type: 'mistral', ...llamaLike, num_attention_heads: 4, num_key_value_heads: 2 },
    place: { tensor: 'model.layers.1.self_attn.k_proj.weight', rows: { start: 6, count: 6 } },
  },
  {
    raw: { model_type: 'qwen2', ...llamaLike, num_attention_heads: 4, num_key_value_heads: 2 },
    place: { tensor: 'model.layers.1.self_attn.k_proj.weight', rows: { start: 6, count: 6 } },
  },
  {
    // As in gemma-7b, heads x head dim is more than the hidden size.
    raw: { model_type: 'gemma', ...llamaLike, num_attention_heads: 4, num_key_value_heads: 2, head_dim: 16 },
    place: { tensor: 'model.layers.1.self_attn.k_proj.weight', rows: { start: 16, count: 16 } },
  },
]

describe("a head's matrix", () => {
  it.each(others)('has its rows in $raw.model_type where the layout says', ({ raw, place }) => {
    expect(locateHeadMatrix(readModelConfig(raw, 'other'), 1, 'K', 1)).toMatchObject({ ...place, transposed: true })
  })

  it.each([...others.map(({ raw }) => raw)])(
    'is one part of its tensor, and all heads together are the whole of it: $model_type',
    (raw) => {
      const config = readModelConfig(raw, 'other')
      const shapes = new Map(expectedTensors(config).map(({ name, shape }) => [name, shape]))
      const taken = new Map<string, number[]>()
      for (const projection of ['Q', 'K', 'V', 'O'] as const) {
        const { count } = headMatrices(config, 1, projection)
        for (let matrix = 0; matrix < count; matrix += 1) {
          const place = locateHeadMatrix(config, 1, projection, matrix)
          expect(shapes.get(place.tensor)).toEqual(place.tensorShape)
          const [rows, columns] = matrixShape(place)
          expect([rows, columns]).toEqual(projection === 'O' ? [config.headDim, 24] : [24, config.headDim])
          const { start, count: length } = projection === 'O' ? place.columns : place.rows
          const starts = taken.get(place.tensor) ?? []
          taken.set(place.tensor, [...starts, ...Array.from({ length }, (_, index) => start + index)])
        }
      }
      for (const [tensor, indices] of taken) {
        const size = shapes.get(tensor)?.[tensor.includes('o_proj') || tensor.includes('dense') ? 1 : 0] ?? 0
        expect(indices.sort((a, b) => a - b)).toEqual(Array.from({ length: size }, (_, index) => index))
      }
    },
  )

  it.each(['MEAN', 'FIRST'] as const)('of a converted GPT-2 is the %s of those that it replaces', async (method) => {
    const { checkpoint, config } = await openGolden('gpt2/heads6')
    for (const kvHeads of [2, 1]) {
      const converted = await convertKvHeads(checkpoint, config, { kvHeads, method }, folder)
      for (const projection of ['K', 'V'] as const) {
        const before = await readAll(checkpoint, config, projection)
        const after = await readAll(converted.checkpoint, converted.config, projection)
        const replaced = 6 / kvHeads
        expect(after).toHaveLength(kvHeads)
        for (const [matrix, values] of after.entries()) {
          const group = before.slice(matrix * replaced, (matrix + 1) * replaced)
          const counted = method === 'MEAN' ? group : group.slice(0, 1)
          const pooled = values.map(
            (_, place) => counted.reduce((sum, one) => sum + (one[place] ?? 0), 0) / counted.length,
          )
          expect(values).toEqual(pooled)
        }
      }
      // What is not pooled stays what it was.
      expect(await readAll(converted.checkpoint, converted.config, 'Q')).toEqual(await readAll(checkpoint, config, 'Q'))
    }
  })

  it('has the values of the file in any dtype', async () => {
    const { checkpoint } = await openGolden('falcon/falcon_40b')
    const forms = await Promise.all(
      (['F32', 'F16', 'BF16'] as const).map(async (dtype) => {
        const rewritten = await openCheckpoint(await rewriteCheckpoint(checkpoint, join(folder, dtype), { dtype }))
        return readAll(rewritten, readModelConfig(rewritten.config, dtype), 'V', 1)
      }),
    )
    expect(new Set(forms[0]?.flatMap((matrix) => [...matrix])).size).toBeGreaterThan(50)
    expect(forms[1]).toEqual(forms[0])
    expect(forms[2]).toEqual(forms[0])
  })

  it('is the same whatever is read at once, also across blocks', async () => {
    for (const name of ['gpt2/heads5', 'falcon/falcon_40b']) {
      const { checkpoint, config } = await openGolden(name)
      const places = (['V', 'Q', 'O', 'K'] as const).map((projection) => locateHeadMatrix(config, 1, projection, 1))
      const whole = await readHeadMatrices(checkpoint, places)
      for (const valuesAtOnce of [1, 7 * config.hiddenSize, 1000]) {
        expect(await readHeadMatrices(checkpoint, places, valuesAtOnce)).toEqual(whole)
      }
    }
  })

  it('comes with the rows and columns of the tensor that its first values are from', async () => {
    for (const name of ['gpt2/heads5', 'llama/gqa', 'falcon/falcon_rw']) {
      const { checkpoint, config } = await openGolden(name)
      for (const projection of ['K', 'O'] as const) {
        const place = locateHeadMatrix(config, 1, projection, 1)
        const matrix = await readHeadMatrix(checkpoint, place)
        const [, width] = matrixShape(place)
        const slice = firstOf(place, 2, 2)
        const tensor = await readHeadMatrix(checkpoint, {
          ...place,
          rows: { start: 0, count: place.tensorShape[0] },
          columns: { start: 0, count: place.tensorShape[1] },
          transposed: false,
        })
        for (let row = 0; row < 2; row += 1) {
          for (let column = 0; column < 2; column += 1) {
            const [tensorRow, tensorColumn] = place.transposed ? [column, row] : [row, column]
            const at = (slice.rows.start + tensorRow) * place.tensorShape[1] + slice.columns.start + tensorColumn
            expect(matrix[row * width + column]).toBe(tensor[at])
          }
        }
      }
    }
  })

  it('is refused where the tensor is not what config.json says, and for MLA', async () => {
    const { checkpoint, config } = await openGolden('llama/gqa')
    const place = locateHeadMatrix(config, 0, 'K', 1)
    const wider = readHeadMatrix(checkpoint, {
      ...place,
      tensorShape: [place.tensorShape[0] + 1, place.tensorShape[1]],
    })
    await expect(wider).rejects.toMatchObject({
      code: 'CHECKPOINT_INVALID',
      message: expect.stringMatching(/k_proj\.weight" \[\d+,\d+\]/),
    })
    const missing = readHeadMatrix({ ...checkpoint, tensors: new Map() }, place)
    await expect(missing).rejects.toMatchObject({
      code: 'CHECKPOINT_INVALID',
      message: expect.stringContaining('none'),
    })
    expect(() => locateHeadMatrix(config, 0, 'K', 9)).toThrow(/none is 9/)
    expect(() => locateHeadMatrix(config, 9, 'K', 0)).toThrow(/no layer 9/)
    const latent = { ...config, family: 'deepseek_v3' as const }
    expect(() => locateHeadMatrix(latent, 0, 'K', 0)).toThrow(expect.objectContaining({ code: 'CONFIG_UNSUPPORTED' }))
  })

  it('is read from a file that holds it, and nothing else of the model', async () => {
    const raw = { ...llamaLike, model_type: 'llama', num_attention_heads: 4, num_key_value_heads: 2 }
    const config = readModelConfig(raw, 'only')
    const place = locateHeadMatrix(config, 0, 'V', 1)
    // Each value says where it stands.
    const fill = (out: Float32Array, start: number) => {
      for (let at = 0; at < out.length; at += 1) out[at] = start + at
    }
    await writeSafetensors(
      join(folder, 'model.safetensors'),
      [{ name: place.tensor, shape: place.tensorShape, fill }],
      {},
    )
    writeFileSync(join(folder, 'config.json'), JSON.stringify(raw))
    const values = await readHeadMatrix(await openCheckpoint(folder), place)
    expect(values[5 * config.headDim + 3]).toBe((config.headDim + 3) * 24 + 5)
  })
})
