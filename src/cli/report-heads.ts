import { diversityAddress } from '../api/addresses.ts'
import { drawDistanceMatrix } from '../render/distance-matrix.ts'
import { matrixName } from '../render/matrix-name.ts'
import type { ReportBlock } from '../render/report.ts'
import { formatRanges } from '../render/text.ts'
import type { AttentionMapsRun, Diversity } from './attention-run.ts'
import type { ApiClient } from './client.ts'
import { estimateText } from './diversity-text.ts'
import { headSubject } from './head-subject.ts'
import { fetchPicture } from './report-picture.ts'
import type { HeadSharing, WeightSlicesRun } from './weight-run.ts'

const right = { align: 'right' } as const

/** Weights in a report: a picture a layer and projection, who shares what, and how alike the heads' matrices are. */
export async function reportWeights(client: ApiClient, run: WeightSlicesRun, most: number): Promise<ReportBlock[]> {
  if (run.slices.length === 0) return [{ of: 'text', text: 'No slice has been read.' }]
  const [model] = run.subjects
  const blocks: ReportBlock[] = [{ of: 'heading', text: 'Weights' }, ...leftOut(run.compared.length, most)]
  for (const { layer, projection, gridUrl, sharing } of run.compared.slice(0, most)) {
    blocks.push(await fetchPicture(client, gridUrl))
    if (sharing === null || model === undefined) continue
    blocks.push({ of: 'text', text: `${matrixName(projection)} of layer ${layer}: ${sharingText(sharing)}` })
    const measure = `linear CKA of W_${projection}`
    const picture = { subject: headSubject(model, layer), layer, measure, values: sharing.cka, end: 1 }
    if (sharing.cka.length > 1) blocks.push({ of: 'picture', svg: drawDistanceMatrix(picture), caption: ckaCaption })
  }
  return [...blocks, slicesTable(run)]
}

const ckaCaption =
  'Linear centred kernel alignment of whole matrices (Kornblith et al. 2019): 1 is the same up to rotation and scale.'

function sharingText({ groups, byConstruction }: HeadSharing): string {
  const shared = groups.filter((group) => group.length > 1)
  if (shared.length === 0) return 'every head has a matrix of its own.'
  const why = byConstruction ? 'they read the same K/V head' : 'their values are equal'
  const list = shared.map((group) => formatRanges(group)).join('; ')
  return `${groups.length} matri${groups.length === 1 ? 'x' : 'ces'} for ${groups.flat().length} heads. One matrix is shared by heads ${list}: ${why}.`
}

/** Each stored matrix once, however many heads read it. */
function slicesTable({ slices }: WeightSlicesRun): ReportBlock {
  const matrices = new Map<string, { heads: number[]; slice: (typeof slices)[number] }>()
  for (const slice of slices) {
    const key = `${slice.layer} ${slice.projection} ${slice.kvHead ?? slice.head}`
    const known = matrices.get(key)
    if (known === undefined) matrices.set(key, { heads: [slice.head], slice })
    else known.heads.push(slice.head)
  }
  return {
    of: 'table',
    caption: 'The slices and where they were cut from',
    table: {
      columns: [
        { title: 'layer', ...right },
        { title: 'matrix' },
        { title: 'heads' },
        { title: 'shape' },
        { title: 'least', ...right },
        { title: 'greatest', ...right },
        { title: 'mean', ...right },
        { title: 'sd', ...right },
        { title: 'tensor' },
        { title: 'rows' },
        { title: 'columns' },
        { title: 'stored as' },
      ],
      rows: [...matrices.values()].map(({ heads, slice }) => [
        String(slice.layer),
        `${matrixName(slice.projection)}${slice.kvHead === null ? '' : `, K/V head ${slice.kvHead}`}`,
        formatRanges(heads),
        `${slice.rows} x ${slice.columns}`,
        ...[slice.minimum, slice.maximum, slice.mean, slice.standardDeviation].map((value) => value.toPrecision(3)),
        `${slice.tensor} [${slice.tensorShape.join(', ')}]${slice.transposed ? ', transposed' : ''}`,
        formatRanges(slice.tensorRows),
        formatRanges(slice.tensorColumns),
        slice.dtype ?? '–',
      ]),
    },
  }
}

/** Attention in a report: a picture a layer and prompt, then how differently the heads of each layer look. */
export async function reportAttention(client: ApiClient, run: AttentionMapsRun, most: number): Promise<ReportBlock[]> {
  const recorded = run.recorded.filter(({ maps }) => maps.length > 0)
  const blocks: ReportBlock[] = [
    { of: 'heading', text: 'Attention' },
    promptsTable(run),
    ...leftOut(recorded.length, most),
  ]
  for (const { gridUrl } of recorded.slice(0, most)) blocks.push(await fetchPicture(client, gridUrl))
  if (run.diversity.length === 0) return blocks
  blocks.push(
    { of: 'heading', text: 'How differently the heads look' },
    {
      of: 'text',
      text: 'Jensen-Shannon distance between heads, 0: the same map, 1: no key in common. A distance says nothing by itself: compare it with what shuffled rows, random weights and position alone give. Intervals are bootstrap intervals over the prompts. docs/heads.md defines every figure.',
    },
    diversityTable(run.diversity),
  )
  for (const { layer } of run.diversity.slice(0, most)) {
    blocks.push(await fetchPicture(client, diversityAddress(run, layer)))
  }
  return [...blocks, ...run.diversity.slice(0, most).map(behavioursTable)]
}

function promptsTable({ prompts }: AttentionMapsRun): ReportBlock {
  return {
    of: 'table',
    caption: 'Prompts, as the model saw them',
    table: {
      columns: [
        { title: 'prompt', ...right },
        { title: 'tokens', ...right },
        { title: 'generated', ...right },
        { title: 'text' },
      ],
      rows: prompts.map(({ index, text, tokens }) => {
        const shown = [...(text || tokens.map((token) => token.text).join(''))]
        const generated = tokens.filter((token) => token.generated).length
        const cut = shown.length > 400 ? `${shown.slice(0, 400).join('')}…` : shown.join('')
        return [String(index), String(tokens.length - generated), String(generated), cut]
      }),
    },
  }
}

const estimates = [
  ['all pairs', 'all'],
  ['within KV groups', 'withinGroups'],
  ['between KV groups', 'betweenGroups'],
  ['between - within', 'betweenMinusWithin'],
  ['shuffled rows', 'shuffledBaseline'],
  ['random weights', 'randomWeightsBaseline'],
  ['at positions', 'atPositions'],
  ['position alone', 'positionBaseline'],
  ['ALiBi alone', 'alibiBaseline'],
] as const

function diversityTable(layers: readonly Diversity[]): ReportBlock {
  const present = estimates.filter(([, field]) => layers.some((layer) => layer[field] !== null))
  return {
    of: 'table',
    table: {
      columns: [{ title: 'layer', ...right }, ...present.map(([title]) => ({ title, ...right }))],
      rows: layers.map((layer) => [
        String(layer.layer),
        ...present.map(([, field]) => (layer[field] === null ? '–' : estimateText(layer[field]))),
      ]),
    },
  }
}

function behavioursTable({ layer, heads, entropy, behaviours }: Diversity): ReportBlock {
  const names = [...new Set(behaviours.map(({ name }) => name))]
  return {
    of: 'table',
    caption: `Heads of layer ${layer}: mean entropy in bits, and the share of attention that has a name; in brackets what equal attention would score`,
    table: {
      columns: [
        { title: 'head', ...right },
        { title: 'entropy', ...right },
        ...names.map((name) => ({ title: name, ...right })),
      ],
      rows: heads.map((head, index) => [
        String(head),
        entropy[index]?.value.toFixed(2) ?? '–',
        ...names.map((name) => {
          const found = behaviours.find((one) => one.head === head && one.name === name)
          return found === undefined ? '–' : `${found.score.value.toFixed(3)} (${found.uniform.toFixed(3)})`
        }),
      ]),
    },
  }
}

function leftOut(count: number, most: number): ReportBlock[] {
  if (count <= most) return []
  return [{ of: 'text', text: `The first ${most} of ${count} pictures are here; --pictures takes more.` }]
}
