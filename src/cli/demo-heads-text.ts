import { paintHeads } from '../render/half-blocks.ts'
import { tableToText, wrap } from '../render/table.ts'
import { visibleText } from '../render/text.ts'
import { formatDecimalBytes, formatInteger } from '../render/units.ts'
import type { LookedAt } from './demo-heads.ts'
import { estimateText } from './diversity-text.ts'
import { headSubject } from './head-subject.ts'
import { matrixBytes, readBy, type SharedHeads, shortNumber, sumUpSharing } from './shared-heads.ts'
import type { Screen } from './terminal.ts'
import { sentenceList } from './text-parts.ts'

/** So narrow a picture has one character a token: 16 heads of nine tokens take 40 lines. */
const attentionWidth = 64

/** The demo's second part in at most 80 columns: matrices, what sharing them saves, maps, and how far they are apart. */
export function headsText(looked: readonly LookedAt[], pictures: { folder: string; names: string[] }, screen: Screen) {
  const { style } = screen
  const synthetic = looked.some(({ weights }) => weights.subjects.some((subject) => subject.synthetic))
  return [
    [style.bold('THE HEADS: WHICH MATRICES THEY SHARE'), ...wrap(whatWeightsShow(looked), 80)].join('\n'),
    ...looked.map((one) => paintedKeys(one, screen)),
    sharingTable(looked, screen),
    sentenceList(looked.flatMap(sharedSentence)).join('\n'),
    [style.bold('THE HEADS: WHERE THEY LOOK'), ...wrap(whatMapsShow(looked), 80)].join('\n'),
    ...looked.map((one) => paintedMaps(one, screen)),
    diversityTable(looked, screen),
    sentenceList(synthetic ? [randomMaps, ...pooledKeys(looked), ...groupsAlike(looked)] : [readMaps]).join('\n'),
    ...(pictures.names.length === 0 ? [] : [`${pictures.names.length} pictures in ${pictures.folder}`]),
  ].join('\n\n')
}

function whatWeightsShow(looked: readonly LookedAt[]): string {
  const [slice] = looked[0]?.weights.slices ?? []
  const [subject] = looked[0]?.weights.subjects ?? []
  if (slice === undefined || subject === undefined) return ''
  return `W_K of layer ${slice.layer}, ${slice.rows} of ${formatInteger(subject.model.hiddenSize)} inputs x ${slice.columns} columns, as stored: one panel a matrix, under the bracket of the heads that read it. Count the panels: so many K must be cached.`
}

function paintedKeys({ label, weights, keys }: LookedAt, { style, colours, width }: Screen): string {
  const [subject] = weights.subjects
  if (subject === undefined) return ''
  return [
    style.bold(label),
    paintHeads({
      subject: headSubject(subject, keys.layer),
      heads: keys.matrices,
      quantity: { name: 'weights', projection: 'K' },
      width: Math.min(80, width),
      colours,
    }),
  ].join('\n')
}

interface SharedKv {
  keys: SharedHeads
  values: SharedHeads
  /** of all K and V matrices of the layer, and if each head had its own */
  bytes: number | null
  unshared: number | null
}

function sharedKv({ weights }: LookedAt): SharedKv | null {
  const of = (projection: 'K' | 'V') => weights.compared.find((one) => one.projection === projection)
  const [keys, values, [subject]] = [of('K'), of('V'), weights.subjects]
  if (!keys?.sharing || !values?.sharing || subject === undefined) return null
  const [sharedKeys, sharedValues] = [sumUpSharing(keys.sharing), sumUpSharing(values.sharing)]
  const [keyBytes, valueBytes] = [matrixBytes(subject, keys), matrixBytes(subject, values)]
  const known = keyBytes !== null && valueBytes !== null
  return {
    keys: sharedKeys,
    values: sharedValues,
    bytes: known ? sharedKeys.stored * keyBytes + sharedValues.stored * valueBytes : null,
    unshared: known ? sharedKeys.heads * keyBytes + sharedValues.heads * valueBytes : null,
  }
}

function sharingTable(looked: readonly LookedAt[], { style }: Screen): string {
  const layer = looked[0]?.keys.layer ?? 0
  const table = tableToText(
    {
      columns: [
        { title: `layer ${layer}` },
        { title: 'stored' },
        { title: 'read by' },
        { title: 'same matrix', align: 'right' },
        { title: 'different', align: 'right' },
        { title: 'bytes', align: 'right' },
      ],
      rows: looked.flatMap((one) => {
        const shared = sharedKv(one)
        if (shared === null) return []
        const { keys, values, bytes } = shared
        const nearest = [keys, values].flatMap(({ between }) => (between === null ? [] : [between.difference]))
        return [
          [
            one.label,
            `${keys.stored} K, ${values.stored} V`,
            readBy(keys),
            keys.within === null ? '–' : shortNumber(Math.max(keys.within, values.within ?? 0)),
            nearest.length === 0 ? '–' : `≥ ${shortNumber(Math.min(...nearest))}`,
            bytes === null ? '–' : formatDecimalBytes(bytes),
          ],
        ]
      }),
    },
    { head: style.bold, width: 80 },
  )
  const caption = 'largest difference of two heads, of those that have the same matrix and of those that have not'
  return [table, ...wrap(caption, 80).map(style.dim)].join('\n')
}

function sharedSentence(one: LookedAt): string[] {
  const shared = sharedKv(one)
  if (shared === null) return []
  const { keys, bytes, unshared } = shared
  if (keys.stored === keys.heads) return [`${one.label}: ${keys.heads} heads, ${keys.heads} panels, no two alike.`]
  const saved =
    bytes === null || unshared === null
      ? ''
      : `: ${formatDecimalBytes(bytes)} in place of ${formatDecimalBytes(unshared)} of K and V`
  const same = `largest difference ${shortNumber(keys.within ?? 0)}`
  if (keys.stored === 1) {
    return [
      `${one.label}: one panel under one bracket. K is stored once and read by all ${keys.heads} heads (${same})${saved}.`,
    ]
  }
  return [
    `${one.label}: ${keys.stored} panels, each stored once and read by ${keys.heads / keys.stored} heads (${same})${saved}.`,
  ]
}

function whatMapsShow(looked: readonly LookedAt[]): string {
  const [first] = looked
  const prompt = first?.attention.prompts[0]
  if (first === undefined || prompt === undefined) return ''
  return `The last layer over “${visibleText(prompt.text)}”, ${prompt.tokens.length} tokens: rows are queries, columns keys.`
}

function paintedMaps({ label, attention, maps }: LookedAt, { style, colours, width }: Screen): string {
  const [subject] = attention.subjects
  if (subject === undefined) return ''
  const { heads, pooled } = maps.overview
  return [
    style.bold(`${label}, layer ${maps.layer}`),
    paintHeads({
      subject: headSubject(subject, maps.layer),
      heads,
      quantity: { name: 'attention', ...(pooled === null ? {} : { pooled }) },
      width: Math.min(attentionWidth, width),
      colours,
    }),
  ].join('\n')
}

function diversityTable(looked: readonly LookedAt[], { style }: Screen): string {
  const prompts = looked[0]?.attention.prompts.length ?? 0
  const cell = (estimate: Parameters<typeof estimateText>[0] | null | undefined) =>
    estimate == null ? '–' : estimateText(estimate)
  const rows = looked.flatMap(({ label, attention }) =>
    attention.diversity.map((of) => [label, cell(of.all), cell(of.withinGroups), cell(of.betweenGroups)]),
  )
  if (rows.length === 0) return ''
  const table = tableToText(
    {
      columns: [
        { title: 'distance' },
        { title: 'all pairs [95 %]' },
        { title: 'same K/V head' },
        { title: 'different' },
      ],
      rows,
    },
    { head: style.bold, width: 80 },
  )
  const caption = `Jensen-Shannon distance of two heads' maps, mean over ${prompts} prompt${prompts === 1 ? '' : 's'}: 0 the same map, 1 no key in common`
  return [table, ...wrap(caption, 80).map(style.dim)].join('\n')
}

/**
 * The mean of n independent random matrices is 1/sqrt(n) as large as one of them, so a pooled model's scores are nearer to
 * 0 and its rows more even: its heads are nearer to each other for that alone.
 */
function pooledKeys(looked: readonly LookedAt[]): string[] {
  const [first, last] = [looked.at(0), looked.at(-1)]
  const [before, after] = [first, last].map((one) => one?.attention.diversity[0])
  if (first === undefined || last === undefined || before === undefined || after === undefined) return []
  const ratio = keySize(last) / keySize(first)
  if (ratio > 0.8 || after.all.value >= before.all.value) return []
  return [
    `The distances fall from ${first.label} to ${last.label} because pooling takes the mean of random K matrices: its weights are ${ratio.toFixed(2)} times as large, so scores are nearer to 0 and rows more even.`,
  ]
}

/** Standard deviation of the stored W_K. */
function keySize({ weights }: LookedAt): number {
  const deviations = weights.slices.filter(({ projection }) => projection === 'K').map((one) => one.standardDeviation)
  return deviations.reduce((sum, deviation) => sum + deviation, 0) / Math.max(1, deviations.length)
}

/** Where heads of one group are as far apart as heads of two, which no sharing explains. */
function groupsAlike(looked: readonly LookedAt[]): string[] {
  return looked.flatMap(({ label, attention }) => {
    const [of] = attention.diversity
    const interval = of?.betweenMinusWithin?.interval
    if (!of?.withinGroups || !of.betweenGroups || !interval || interval.low > 0 || interval.high < 0) return []
    return [
      `${label}: heads that share K and V are as far apart as heads that do not (${of.withinGroups.value.toFixed(3)}, ${of.betweenGroups.value.toFixed(3)}), as chance has it.`,
    ]
  })
}

const randomMaps =
  'Attention maps of random weights show nothing but chance: every query looks at its keys nearly alike. Whether heads that share K and V see less differently can only be asked of trained weights: npm run demo -- --model DIR, or kvscope heads attention DIR with its baselines.'
const readMaps =
  'A bright first column is attention to the first token, a bright line below the diagonal to the token before. The distances tell how differently these heads look over these prompts; two checkpoints that differ in more than sharing do not tell what sharing did. kvscope heads attention DIR adds baselines.'
