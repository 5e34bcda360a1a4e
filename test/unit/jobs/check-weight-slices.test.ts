import { describe, expect, it } from 'vitest'
import { withKvHeads } from '../../../src/architecture/pool-kv-heads.ts'
import { findPreset } from '../../../src/architecture/presets.ts'
import { readModelConfig } from '../../../src/architecture/read-config.ts'
import { checkWeightSlices, planWeightSlices } from '../../../src/jobs/check-weight-slices.ts'
import { canonicalSpec, parseSpec, type WeightSlicesSpec } from '../../../src/jobs/spec.ts'

const subject = { source: { synthetic: { preset: 'gpt2-medium' } } }

function specOf(fields: object): WeightSlicesSpec {
  const spec = parseSpec({ kind: 'WEIGHT_SLICES', version: 1, subjects: [subject], ...fields })
  if (spec.kind !== 'WEIGHT_SLICES') throw new Error('another kind')
  return spec
}

const presetConfig = (name: string) => readModelConfig(findPreset(name).config, name)
const medium = presetConfig('gpt2-medium')
const plan = (fields: object, config = medium) => planWeightSlices(specOf(fields), 'm', config)

describe('a spec of weight slices', () => {
  it('is the lecture by default: 50 rows of every W_K and W_V of the first layer', () => {
    expect(specOf({})).toMatchObject({ layers: null, projections: ['K', 'V'], heads: null, rows: 50, columns: null })
    expect(canonicalSpec(specOf({ projections: ['K', 'V'], rows: 50 }))).toBe(canonicalSpec(specOf({})))
  })

  it.each([
    ['a layer twice', { layers: [1, 1] }, /layers is a list of 2: the same number/],
    ['a head below 0', { heads: [-1] }, /heads\.0 is -1/],
    ['a projection that is none', { projections: ['G'] }, /projections\.0 is "G"/],
    ['no projection', { projections: [] }, /projections is a list of 0/],
    ['a projection twice', { projections: ['K', 'K'] }, /the same projection/],
    ['no rows', { rows: 0 }, /rows is 0/],
    ['two models', { subjects: [subject, subject] }, /subjects is a list of 2/],
    ['prompts', { prompts: ['a'] }, /Unrecognized key: "prompts"/],
  ])('refuses %s', (_what, fields, message) => {
    expect(() => specOf(fields)).toThrow(message)
  })
})

describe('the slices that a spec comes to', () => {
  it('are one for each matrix, with the asked query heads that read it', () => {
    expect(plan({ layers: [3, 1], projections: ['K', 'Q'], heads: [5, 1, 4] }, withKvHeads(medium, 4))).toMatchObject([
      {
        layer: 1,
        projection: 'K',
        matrices: [
          { matrix: 0, heads: [1] },
          { matrix: 1, heads: [4, 5] },
        ],
      },
      {
        layer: 1,
        projection: 'Q',
        matrices: [
          { matrix: 1, heads: [1] },
          { matrix: 4, heads: [4] },
          { matrix: 5, heads: [5] },
        ],
      },
      { layer: 3, projection: 'K' },
      { layer: 3, projection: 'Q' },
    ])
    const [mqa] = plan({}, withKvHeads(medium, 1))
    expect(mqa?.matrices).toEqual([{ matrix: 0, heads: Array.from({ length: 16 }, (_, head) => head) }])
  })

  it('have fewer rows and columns where the matrix has fewer', () => {
    expect(plan({ projections: ['K', 'O'], rows: 5000, columns: 5000 })).toMatchObject([
      { rows: 1024, columns: 64 },
      { rows: 64, columns: 1024 },
    ])
    expect(plan({ projections: ['O'] })).toMatchObject([{ rows: 50, columns: 1024 }])
    expect(plan({ columns: 7 })).toMatchObject([{ rows: 50, columns: 7 }, { columns: 7 }])
  })

  it('of MLA are its own matrices and their products, W_DKV once for all heads', () => {
    const lite = presetConfig('deepseek-v2-lite')
    const projections = ['Q', 'DKV', 'UK', 'UV', 'O', 'QUK', 'UVO']
    const sizes = plan({ projections, rows: 5000 }, lite).map(
      ({ projection, matrices, rows, columns }) => `${projection} ${matrices.length} x ${rows} x ${columns}`,
    )
    expect(sizes).toEqual([
      'Q 16 x 2048 x 192',
      'DKV 1 x 2048 x 576',
      'UK 16 x 512 x 128',
      'UV 16 x 512 x 128',
      'O 16 x 128 x 2048',
      'QUK 16 x 2048 x 512',
      'UVO 16 x 512 x 2048',
    ])
    expect(plan({ projections: ['DKV'] }, lite)[0]?.matrices[0]?.heads).toHaveLength(16)
    // Compressed queries are what W_UQ reads.
    expect(plan({ projections: ['Q'], rows: 5000 }, presetConfig('deepseek-v3'))[0]?.rows).toBe(1536)
  })

  it('are refused where layer or head are not there, and where the model has no such matrix', () => {
    expect(() => plan({ layers: [24] })).toThrow(/layer 24 of m: it has 24, numbered from 0/)
    expect(() => plan({ heads: [0, 16] })).toThrow(/head 16 of m: it has 16/)
    for (const [asked, of] of [
      [{}, presetConfig('deepseek-v3')],
      [{ projections: ['UK'] }, medium],
    ] as const) {
      expect(() => plan(asked, of)).toThrow(expect.objectContaining({ code: 'CONFIG_UNSUPPORTED' }))
    }
  })
})

describe('the size of what would be stored', () => {
  const everything = {
    layers: Array.from({ length: 24 }, (_, layer) => layer),
    projections: ['Q', 'K', 'V', 'O'],
    rows: 1024,
    columns: 1024,
  }

  it('is refused above 256 MiB, with the arithmetic', () => {
    expect(() => checkWeightSlices(specOf(everything), 'gpt2-medium', medium, 4e9)).toThrow(
      expect.objectContaining({
        code: 'LIMIT_EXCEEDED',
        message: expect.stringContaining(
          'would take 385.4 MiB, more than 256 MiB: 384 MiB of slices, most in W_Q of layer 0 with 16 matrices x 1024 rows x 64 columns x 4 B',
        ),
      }),
    )
  })

  it('is refused above what the installation lets a run store', () => {
    expect(() => checkWeightSlices(specOf({}), 'm', medium, 2 ** 18)).toThrow(/would take 0\.4 MiB, more than 0\.3 MiB/)
  })

  it('counts a shared matrix once', () => {
    const kOnly = { ...everything, projections: ['K', 'V', 'Q'] }
    expect(() => checkWeightSlices(specOf(kOnly), 'm', medium, 4e9)).toThrow(/288 MiB of slices/)
    checkWeightSlices(specOf(kOnly), 'm', withKvHeads(medium, 4), 4e9)
  })

  it('lets the default of the largest models through', () => {
    for (const name of ['falcon-7b', 'falcon-40b', 'llama-3.1-70b', 'gpt3-175b']) {
      checkWeightSlices(specOf({ projections: ['Q', 'K', 'V', 'O'] }), name, presetConfig(name), 4e9)
    }
  })
})
