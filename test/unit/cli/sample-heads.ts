import type { AttentionMapsRun, Diversity, Estimate, LayerMaps, Overview } from '../../../src/cli/attention-run.ts'
import type { LookedAt } from '../../../src/cli/demo-heads.ts'
import type { Screen } from '../../../src/cli/terminal.ts'
import type { ComparedHeads, WeightSlice, WeightSlicesRun } from '../../../src/cli/weight-run.ts'
import type { HeadMatrix } from '../../../src/render/head-groups.ts'
import { createStyle } from '../../../src/render/style.ts'
import { sampleRun, subject } from './sample-run.ts'

export const plainScreen: Screen = { style: createStyle(false), colours: 'none', width: 80 }

const heads = 16
const still = { ratio: 1, low: 1, high: 1 }

/** What runs of all kinds have. */
function runFields(kvHeads: number, synthetic: boolean) {
  const {
    series: _series,
    keyFigure: _keyFigure,
    comparison: _comparison,
    ...run
  } = sampleRun([subject(0, kvHeads, { synthetic })], still, still)
  return run
}

const readsOf = (kvHeads: number) => (head: number) => Math.floor((head * kvHeads) / heads)

/** Weights that differ from K/V head to K/V head. */
function weightsOf(kvHead: number, rows: number, columns: number): Float32Array {
  return Float32Array.from({ length: rows * columns }, (_, at) => Math.sin(0.7 * at + 2.1 * kvHead) / (1 + kvHead))
}

export interface SampleWeights {
  run: WeightSlicesRun
  painted: (ComparedHeads & { matrices: HeadMatrix[] })[]
}

/** W_K and W_V of layer 0 of gpt2-medium's shape with so many K/V heads. */
export function sampleWeights(kvHeads: number, synthetic = true): SampleWeights {
  const kvHeadOf = readsOf(kvHeads)
  const [rows, columns] = [8, 16]
  const square = (same: number, different: number) =>
    Array.from({ length: heads }, (_, a) =>
      Array.from({ length: heads }, (_, b) =>
        kvHeadOf(a) === kvHeadOf(b) ? same : different + Math.abs(a - b) / 1000,
      ),
    )
  const groups = Array.from({ length: kvHeads }, (_, group) =>
    Array.from({ length: heads }, (_, head) => head).filter((head) => kvHeadOf(head) === group),
  )
  const compared = (['K', 'V'] as const).map((projection) => ({
    layer: 0,
    projection,
    gridUrl: `/runs/run/weights/0/${projection}/grid.svg?attempt=1`,
    sharing: {
      groups,
      byConstruction: kvHeads < heads,
      maxDifference: square(0, 0.12),
      cosine: square(1, -0.01),
      cka: square(1, 0.06),
    },
  }))
  const slices = compared.flatMap(({ projection }) =>
    Array.from({ length: heads }, (_, head): WeightSlice => {
      const address = `/runs/run/weights/0/${projection}/${head}`
      return {
        ...{ id: `${projection}${head}`, layer: 0, projection, head, kvHead: kvHeadOf(head), rows, columns },
        ...{ minimum: -0.05, maximum: 0.05, mean: 0.0001, standardDeviation: 0.02 * Math.sqrt(kvHeads / heads) },
        ...{ tensor: 'h.0.attn.c_attn.weight', tensorShape: [1024, 3072], transposed: false, dtype: 'F32' },
        ...{ tensorRows: [], tensorColumns: [] },
        ...{ imageUrl: `${address}.svg?attempt=1`, arrayUrl: `${address}.npy?attempt=1` },
      }
    }),
  )
  const run: WeightSlicesRun = { ...runFields(kvHeads, synthetic), kind: 'WEIGHT_SLICES', slices, compared }
  const matrices = Array.from({ length: heads }, (_, head) => {
    const kvHead = kvHeadOf(head)
    return { head, kvHead, rows, columns, values: weightsOf(kvHead, rows, columns) }
  })
  return { run, painted: compared.map((one) => ({ ...one, matrices })) }
}

/** A mean with an interval of so much on both sides; none where that is null. */
export function estimate(value: number, around: number | null = 0.01): Estimate {
  return { value, interval: around === null ? null : { low: value - around, high: value + around, level: 0.95 } }
}

/** Figures of layer 23 as a run over enough prompts has them. */
export function sampleDiversity(kvHeads: number, changed: Partial<Diversity> = {}): Diversity {
  const all = Array.from({ length: heads }, (_, head) => head)
  const names = ['previous-token', 'first-token', 'induction', 'duplicate-token', 'local']
  return {
    layer: 23,
    heads: all,
    jsDistance: all.map((a) => all.map((b) => (a === b ? 0 : 0.4))),
    all: estimate(0.4),
    withinGroups: kvHeads === heads ? null : estimate(0.3),
    betweenGroups: kvHeads === 1 ? null : estimate(0.42),
    betweenMinusWithin: kvHeads === heads || kvHeads === 1 ? null : estimate(0.12),
    shuffledBaseline: estimate(0.55),
    randomWeightsBaseline: estimate(0.05),
    positionBaseline: estimate(0.2),
    atPositions: estimate(0.35),
    alibiBaseline: null,
    entropy: all.map((head) => estimate(1 + head / 10)),
    behaviours: names.flatMap((name, at) =>
      all.map((head) => ({ head, name, score: estimate(head === 3 * at ? 0.7 : 0.1), uniform: 0.2 })),
    ),
    ...changed,
  }
}

const words = ['the', ' quick', ' brown', ' fox', ' jumps', ' over', ' the', ' lazy', ' dog']

export interface SampleAttention {
  run: AttentionMapsRun
  painted: (LayerMaps & { overview: Overview })[]
}

/** The last layer of gpt2-medium's shape over the lecture's prompt. */
export function sampleAttention(
  kvHeads: number,
  { synthetic = true, diversity = [sampleDiversity(kvHeads)] }: { synthetic?: boolean; diversity?: Diversity[] } = {},
): SampleAttention {
  const size = words.length
  const maps = Array.from({ length: heads }, (_, head) => ({
    ...{ layer: 23, head, kvHead: readsOf(kvHeads)(head), size, storedAs: 'F32' as const, entropy: 2 },
    imageUrl: `/runs/run/attention/0/23/${head}.svg?attempt=1`,
    arrayUrl: `/runs/run/attention/0/23/${head}.npy?attempt=1`,
    tileUrlTemplate: '',
  }))
  const layer: LayerMaps = {
    ...{ prompt: 0, layer: 23, maps, gridUrl: '/runs/run/attention/0/23/grid.svg?attempt=1' },
    overviewUrl: '/runs/run/attention/0/overview.u8?attempt=1',
  }
  const run: AttentionMapsRun = {
    ...runFields(kvHeads, synthetic),
    kind: 'ATTENTION_MAPS',
    prompts: [
      {
        index: 0,
        text: words.join(''),
        tokens: words.map((text, position) => ({ position, id: position, text, generated: false })),
      },
    ],
    layers: [23],
    heads: maps.map(({ head }) => head),
    diversity,
    recorded: [layer],
  }
  // The first head looks at the first token, the last one evenly, those between partly so.
  const overview: Overview = {
    heads: maps.map(({ head, kvHead }) => {
      const sink = 1 - head / (heads - 1)
      const values = Float32Array.from({ length: size * size }, (_, at) => {
        const [query, key] = [Math.floor(at / size), at % size]
        return key > query ? 0 : (1 - sink) / (query + 1) + (key === 0 ? sink : 0)
      })
      return { head, kvHead, rows: size, columns: size, values }
    }),
    pooled: null,
  }
  return { run, painted: [{ ...layer, overview }] }
}

/** What the demo's second part reads of a subject. */
export function sampleLooked(label: string, kvHeads: number, distance: number, synthetic = true): LookedAt {
  const weights = sampleWeights(kvHeads, synthetic)
  const betweenMinusWithin = kvHeads === 4 ? { betweenMinusWithin: estimate(0, 0.01) } : {}
  const diversity = [sampleDiversity(kvHeads, { all: estimate(distance), ...betweenMinusWithin })]
  const attention = sampleAttention(kvHeads, { synthetic, diversity })
  const [keys, maps] = [weights.painted[0], attention.painted[0]]
  if (keys === undefined || maps === undefined) throw new Error('the sample has a layer')
  return { label, weights: weights.run, keys, attention: attention.run, maps }
}
