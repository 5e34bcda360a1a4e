import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, describe, expect, it } from 'vitest'
import { expectedTensors } from '../../../src/architecture/expected-tensors.ts'
import { readModelConfig } from '../../../src/architecture/read-config.ts'
import { openCheckpoint } from '../../../src/checkpoints/open.ts'
import { readTensor } from '../../../src/checkpoints/read-tensor.ts'
import { writeSafetensors } from '../../../src/checkpoints/write-safetensors.ts'
import type { HeadSharingRow, WeightMatrixRow } from '../../../src/heads/rows.ts'
import { parseSpec } from '../../../src/jobs/spec.ts'
import { compiledFile } from '../../../src/package-folder.ts'
import type { OpenedSubject, Outcome } from '../../../src/workers/messages.ts'
import { ensureMemory } from '../../../src/workers/slice-memory.ts'
import { sliceWeights } from '../../../src/workers/weight-slices.ts'

const dataDir = mkdtempSync(join(tmpdir(), 'kvscope-slices-'))
afterAll(() => rmSync(dataDir, { recursive: true, force: true }))
const golden = join(import.meta.dirname, '../../golden')

interface Sliced {
  matrices: WeightMatrixRow[]
  sharing: HeadSharingRow[]
  subjects: OpenedSubject[]
  messages: string[]
  fractions: number[]
  outcome: Outcome
}

/** Runs the job kind in this process, and keeps what its parent would store. */
async function slice(path: string, fields: object = {}, convert: object | null = null): Promise<Sliced> {
  const spec = parseSpec({
    kind: 'WEIGHT_SLICES',
    version: 1,
    subjects: [{ source: { local: { path } }, convert }],
    ...fields,
  })
  if (spec.kind !== 'WEIGHT_SLICES') throw new Error('another kind')
  const got: Omit<Sliced, 'outcome'> = { matrices: [], sharing: [], subjects: [], messages: [], fractions: [] }
  const outcome = await sliceWeights(
    spec,
    { dataDir, modelRoots: [golden, dataDir], maxResultBytes: 1e6 },
    {
      progress: async (fraction, message) => {
        got.messages.push(message)
        got.fractions.push(fraction)
      },
      subjects: async (rows) => void got.subjects.push(...rows),
      series: async () => expect.fail('nothing is timed'),
      heads: async (batch) => {
        if (batch.of === 'weightMatrices') got.matrices.push(...batch.rows)
        else if (batch.of === 'headSharing') got.sharing.push(...batch.rows)
        else expect.fail(batch.of)
      },
    },
  )
  return { ...got, outcome }
}

const heads6 = join(golden, 'gpt2/heads6')
const floats = ({ values }: { values: Uint8Array }) => new Float32Array(values.buffer, values.byteOffset)
const offDiagonal = (square: number[][]) => square.flatMap((row, one) => row.filter((_, other) => other !== one))
const singles = [[0], [1], [2], [3], [4], [5]]

/** Writes a Llama of 4 heads whose tensors are filled by `value` of row and column. */
async function writeLlama(
  name: string,
  value: (tensor: string, row: number, column: number) => number,
): Promise<string> {
  const folder = mkdtempSync(join(dataDir, `${name}-`))
  const raw = { model_type: 'llama', num_hidden_layers: 1, hidden_size: 12, intermediate_size: 8, vocab_size: 5 }
  const config = { ...raw, num_attention_heads: 4 }
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config))
  const tensors = expectedTensors(readModelConfig(config, name)).map((tensor) => ({
    name: tensor.name,
    shape: tensor.shape,
    fill: (out: Float32Array, start: number) => {
      const width = tensor.shape[1] ?? 1
      for (let at = 0; at < out.length; at += 1) {
        out[at] = value(tensor.name, Math.floor((start + at) / width), (start + at) % width)
      }
    },
  }))
  await writeSafetensors(join(folder, 'model.safetensors'), tensors, {})
  return folder
}

describe('the job kind WEIGHT_SLICES', () => {
  it('reads the first rows of every W_K and W_V of the first layer by default, with where they come from', async () => {
    const { matrices, sharing, subjects, outcome } = await slice(heads6, { rows: 10 })
    const checkpoint = await openCheckpoint(heads6)
    const config = readModelConfig(checkpoint.config, 'heads6')
    const entry = checkpoint.tensors.get('h.0.attn.c_attn.weight')
    if (entry === undefined) throw new Error('no c_attn')
    const tensor = await readTensor(entry)
    const { hiddenSize, headDim } = config
    expect(matrices.map(({ projection, matrix }) => `${projection}${matrix}`)).toEqual([
      ...['K0', 'K1', 'K2', 'K3', 'K4', 'K5'],
      ...['V0', 'V1', 'V2', 'V3', 'V4', 'V5'],
    ])
    const [, , k2] = matrices
    if (k2 === undefined) throw new Error('no K2')
    const columns = Array.from({ length: headDim }, (_, index) => hiddenSize + 2 * headDim + index)
    expect(k2).toMatchObject({
      layer: 0,
      heads: [2],
      rows: 10,
      columns: headDim,
      tensor: 'h.0.attn.c_attn.weight',
      tensorShape: [hiddenSize, 3 * hiddenSize],
      tensorRows: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
      tensorColumns: columns,
      transposed: false,
      dtype: 'F32',
    })
    const expected = k2.tensorRows.flatMap((row) => columns.map((column) => tensor[row * 3 * hiddenSize + column] ?? 0))
    expect([...floats(k2)]).toEqual(expected)
    expect(k2.minimum).toBe(Math.min(...expected))
    expect(k2.maximum).toBe(Math.max(...expected))
    const mean = expected.reduce((sum, value) => sum + value, 0) / expected.length
    const squares = expected.reduce((sum, value) => sum + (value - mean) ** 2, 0)
    expect(k2.mean).toBeCloseTo(mean, 12)
    expect(k2.standardDeviation).toBeCloseTo(Math.sqrt(squares / expected.length), 12)

    expect(sharing.map(({ layer, projection }) => `${layer}${projection}`)).toEqual(['0K', '0V'])
    expect(subjects).toMatchObject([{ index: 0, dtype: 'F32', fingerprint: checkpoint.fingerprint }])
    expect(outcome).toMatchObject({ keyFigure: null, warnings: [], environment: { hostname: expect.any(String) } })
  })

  it('says of MHA that all heads differ', async () => {
    const { sharing } = await slice(heads6, { layers: [1], projections: ['Q', 'K', 'V', 'O'] })
    expect(sharing).toHaveLength(4)
    for (const { groups, byConstruction, maxDifference, cosine, cka } of sharing) {
      expect({ groups, byConstruction }).toEqual({ groups: singles, byConstruction: false })
      expect(Math.min(...offDiagonal(maxDifference))).toBeGreaterThan(0)
      expect(maxDifference.map((row, head) => row[head])).toEqual([0, 0, 0, 0, 0, 0])
      expect(cosine.map((row, head) => row[head])).toEqual([1, 1, 1, 1, 1, 1])
      expect(Math.max(...offDiagonal(cosine))).toBeLessThan(0.9)
      for (const value of cka.flat()) expect(value).toBeGreaterThan(0)
    }
  })

  it('says of GQA its groups, of MQA one, and draws each matrix once', async () => {
    const gqa = await slice(heads6, { projections: ['K', 'Q'] }, { kvHeads: 2 })
    const groups = [
      [0, 1, 2],
      [3, 4, 5],
    ]
    expect(gqa.sharing).toMatchObject([
      { projection: 'K', groups, byConstruction: true },
      { projection: 'Q', groups: singles, byConstruction: false },
    ])
    const [k] = gqa.sharing
    expect([k?.maxDifference[0]?.[2], k?.cosine[3]?.[5], k?.cka[4]?.[3]]).toEqual([0, 1, 1])
    expect(k?.maxDifference[2]?.[3]).toBeGreaterThan(0)
    expect(gqa.matrices.filter(({ projection }) => projection === 'K').map(({ heads }) => heads)).toEqual(groups)

    const mqa = await slice(heads6, {}, { kvHeads: 1 })
    const all = [0, 1, 2, 3, 4, 5]
    expect(mqa.matrices.map(({ projection, matrix, heads }) => ({ projection, matrix, heads }))).toEqual([
      { projection: 'K', matrix: 0, heads: all },
      { projection: 'V', matrix: 0, heads: all },
    ])
    for (const { groups: one, byConstruction, maxDifference } of mqa.sharing) {
      expect({ one, byConstruction }).toEqual({ one: [all], byConstruction: true })
      expect(maxDifference.flat().every((value) => value === 0)).toBe(true)
    }
  })

  it('reads the heads that are asked for, and tells of the sharing of all', async () => {
    const { matrices, sharing } = await slice(
      heads6,
      { heads: [4, 1], projections: ['V'], rows: 3, columns: 2 },
      { kvHeads: 2 },
    )
    expect(matrices).toMatchObject([
      { matrix: 0, heads: [1], rows: 3, columns: 2 },
      { matrix: 1, heads: [4], rows: 3, columns: 2 },
    ])
    expect(sharing).toMatchObject([
      {
        groups: [
          [0, 1, 2],
          [3, 4, 5],
        ],
      },
    ])
  })

  it('finds K/V heads that were stored once for each query head by their values', async () => {
    // Head dim 3: heads 0 and 1 have equal rows of K, and so have 2 and 3; all rows of V differ.
    const folder = await writeLlama('repeated', (tensor, row, column) => {
      const group = tensor.includes('k_proj') ? Math.floor(row / 6) : row
      return Math.sin(7 * group + 3 * (row % 3) + 1.7 * column + tensor.length)
    })
    const { sharing } = await slice(folder)
    expect(sharing).toMatchObject([
      {
        projection: 'K',
        byConstruction: false,
        groups: [
          [0, 1],
          [2, 3],
        ],
      },
      { projection: 'V', byConstruction: false, groups: [[0], [1], [2], [3]] },
    ])
  })

  it('refuses a weight that is no number, and says where it is', async () => {
    const folder = await writeLlama('broken', (tensor, row, column) =>
      tensor.includes('v_proj') && row === 4 && column === 2 ? Number.NaN : row - column,
    )
    await expect(slice(folder)).rejects.toMatchObject({
      code: 'CHECKPOINT_INVALID',
      // Row 4 of the tensor is column 1 of head 1, whose matrix is [12, 3].
      message: 'W_V 1 of layer 0 holds NaN, its value 7 in rows',
    })
    expect((await slice(folder, { projections: ['K'] })).matrices).toHaveLength(4)
  })

  it('tells how far it is', async () => {
    const { messages, fractions } = await slice(heads6, { layers: [0, 1] })
    expect(messages[0]).toBe('the model: opening the checkpoint')
    expect(messages.at(-1)).toBe('done')
    expect(fractions).toEqual([...fractions].sort((a, b) => a - b))
    expect(fractions.at(-1)).toBe(1)
  })

  it('warns that synthetic weights look like nothing', async () => {
    const overrides = { n_layer: 1, n_embd: 32, n_head: 4, vocab_size: 11, n_positions: 8 }
    const source = { synthetic: { preset: 'gpt2', seed: 3, overrides } }
    const { outcome } = await slice('', { subjects: [{ source, name: 'tiny', convert: { kvHeads: 2 } }] })
    expect(outcome.warnings).toMatchObject([{ code: 'SYNTHETIC_WEIGHTS' }])
  })

  it('reads families that the engine cannot run', async () => {
    const folder = await writeLlama('other', (_tensor, row, column) => Math.sin(row + 0.1 * column))
    const config = { model_type: 'qwen2', num_hidden_layers: 1, hidden_size: 12, intermediate_size: 8, vocab_size: 5 }
    writeFileSync(join(folder, 'config.json'), JSON.stringify({ ...config, num_attention_heads: 4 }))
    expect((await slice(folder)).matrices).toHaveLength(8)
  })

  it("reads MLA's matrices: W_DKV once for all heads, products by both tensors' names, and no W_K", async () => {
    const lite = join(golden, 'deepseek_v2/lite')
    const { matrices, sharing } = await slice(lite, { layers: [1], projections: ['DKV', 'UV', 'O', 'UVO'] })
    const of = (projection: string) => matrices.filter((one) => one.projection === projection)
    expect(of('DKV')).toMatchObject([{ matrix: 0, heads: [0, 1, 2, 3, 4], rows: 30, columns: 14, transposed: true }])
    expect(sharing).toMatchObject([
      { projection: 'DKV', groups: [[0, 1, 2, 3, 4]], byConstruction: true },
      { projection: 'UV', groups: [[0], [1], [2], [3], [4]], byConstruction: false },
      { projection: 'O', byConstruction: false },
      { projection: 'UVO', byConstruction: false },
    ])
    const path = 'model.layers.1.self_attn'
    const [up, output, product] = [of('UV')[3], of('O')[3], of('UVO')[3]]
    if (up === undefined || output === undefined || product === undefined) throw new Error('a matrix is missing')
    expect(product).toMatchObject({
      rows: 10,
      columns: 30,
      tensor: `${path}.kv_b_proj.weight x ${path}.o_proj.weight`,
      tensorShape: [10, 30],
      transposed: false,
    })
    const [left, right, both] = [floats(up), floats(output), floats(product)]
    const sum = Array.from({ length: 7 }, (_, at) => (left[2 * 7 + at] ?? 0) * (right[at * 30 + 5] ?? 0))
    expect(both[2 * 30 + 5]).toBeCloseTo(
      sum.reduce((total, value) => total + value, 0),
      6,
    )
    await expect(slice(lite)).rejects.toMatchObject({ code: 'CONFIG_UNSUPPORTED' })
  })

  it('refuses before it reads what does not fit into memory, with the arithmetic', () => {
    const config = readModelConfig(
      {
        model_type: 'llama',
        num_hidden_layers: 1,
        hidden_size: 8192,
        intermediate_size: 8,
        vocab_size: 5,
        num_attention_heads: 64,
      },
      'large',
    )
    const plan = [{ layer: 0, projection: 'Q' as const, matrices: [], rows: 50, columns: 128 }]
    expect(() => ensureMemory(plan, 'large', config, { bytes: 5e8, bound: 'control group' })).toThrow(
      expect.objectContaining({
        code: 'OUT_OF_MEMORY',
        message:
          'a layer of large needs about 0.96 GB (0.27 GB of matrices, and 128 copies of 8192 x 128 x 4 B), and 0.50 GB are left by the control group',
      }),
    )
    ensureMemory(plan, 'large', config, { bytes: 1e9, bound: 'machine' })
  })

  it('loads no native runtime', async () => {
    const script = `
      await import(process.argv[1])
      console.log(JSON.stringify(process.report.getReport().sharedObjects))`
    const entry = compiledFile('src/workers/weight-slices.ts')
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script, entry])
    expect(stdout.length).toBeGreaterThan(10)
    expect(stdout).not.toMatch(/onnx|sharp/)
  })
})
