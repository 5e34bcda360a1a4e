import { paintHeads } from '../render/half-blocks.ts'
import type { HeadMatrix } from '../render/head-groups.ts'
import { matrixName } from '../render/matrix-name.ts'
import { tableToText, wrap } from '../render/table.ts'
import { formatRanges } from '../render/text.ts'
import { formatDecimalBytes, formatInteger } from '../render/units.ts'
import type { Subject } from './benchmark-run.ts'
import { headSubject } from './head-subject.ts'
import { matrixBytes, readBy, shortNumber, sumUpSharing } from './shared-heads.ts'
import type { Screen } from './terminal.ts'
import { runHeading, sentenceList, syntheticMark, warningList } from './text-parts.ts'
import type { ComparedHeads, WeightSlice, WeightSlicesRun } from './weight-run.ts'

/** One projection of one layer with the slices to be painted. */
export interface PaintedWeights extends ComparedHeads {
  matrices: readonly HeadMatrix[]
}

export interface WeightReport {
  run: WeightSlicesRun
  painted: readonly PaintedWeights[]
  /** each head's matrix, whoever shares it */
  perHead: boolean
}

/** A run on weights for people: each layer's matrices, what heads share of them in figures, and what that says. */
export function weightReport({ run, painted, perHead }: WeightReport, screen: Screen): string {
  const [subject] = run.subjects
  const parts = [runHeading(run, screen.style).join('\n')]
  if (subject !== undefined) {
    for (const one of painted) parts.push(paintedMatrices(run, subject, one, perHead, screen))
    const compared = run.compared.filter(({ sharing }) => sharing !== null)
    if (compared.length > 0)
      parts.push(sharingTable(subject, compared, screen), concludeWeights(subject, compared, screen))
  }
  parts.push(warningList(run.warnings, screen.style).join('\n'))
  return parts.filter((part) => part !== '').join('\n\n')
}

function paintedMatrices(
  run: WeightSlicesRun,
  subject: Subject,
  { layer, projection, matrices }: PaintedWeights,
  perHead: boolean,
  screen: Screen,
): string {
  const own = run.slices.filter((slice) => slice.layer === layer && slice.projection === projection)
  const [slice] = own
  return [
    screen.style.bold(`${matrixName(projection)} OF LAYER ${layer}, ${subject.name}${syntheticMark(subject)}`),
    ...(slice === undefined ? [] : wrap(whatIsShown(slice, subject), 80).map(screen.style.dim)),
    paintHeads({
      subject: headSubject(subject, layer),
      heads: matrices,
      quantity: { name: 'weights', projection },
      view: perHead ? 'heads' : 'shared',
      width: screen.width,
      colours: screen.colours,
    }),
    ...(perHead ? ['', ...perHeadLines(run, { layer, projection })] : []),
  ].join('\n')
}

/** `50 of 1,024 rows x 64 columns, tensor "h.0.attn.c_attn.weight" [1024, 3072], F32`. */
function whatIsShown(
  { rows, columns, projection, tensor, tensorShape, dtype }: WeightSlice,
  { model }: Subject,
): string {
  const from = `from tensor ${tensor} [${tensorShape.join(', ')}]${dtype === null ? '' : `, ${dtype}`}`
  // Sizes of MLA's matrices follow from ranks, which are not the model's dimensions.
  if (model.attentionKind === 'MLA') return `${formatInteger(rows)} rows x ${formatInteger(columns)} columns, ${from}`
  const width = projection === 'Q' || projection === 'K' ? model.keyDim : model.valueDim
  const [allRows, allColumns] = projection === 'O' ? [width, model.hiddenSize] : [model.hiddenSize, width]
  const part = (shown: number, all: number) =>
    shown === all ? formatInteger(all) : `${formatInteger(shown)} of ${formatInteger(all)}`
  return `${part(rows, allRows)} rows (inputs) x ${part(columns, allColumns)} columns, ${from}`
}

/** Each head with its K/V head, and how far its whole matrix is from those of the heads that share it. */
function perHeadLines(
  run: WeightSlicesRun,
  { layer, projection }: Pick<ComparedHeads, 'layer' | 'projection'>,
): string[] {
  const sharing = run.compared.find((one) => one.layer === layer && one.projection === projection)?.sharing
  const slices = run.slices.filter((slice) => slice.layer === layer && slice.projection === projection)
  const table = tableToText(
    {
      columns: [
        { title: 'head', align: 'right' },
        { title: 'K/V head', align: 'right' },
        { title: 'same matrix as heads' },
        { title: 'largest difference', align: 'right' },
        { title: 'mean', align: 'right' },
        { title: 'sd', align: 'right' },
      ],
      rows: slices.map((slice) => {
        const others = sharing?.groups
          .find((group) => group.includes(slice.head))
          ?.filter((head) => head !== slice.head)
        const distances = others?.map((head) => sharing?.maxDifference[slice.head]?.[head] ?? 0) ?? []
        return [
          `${slice.head}`,
          slice.kvHead === null ? '–' : `${slice.kvHead}`,
          others === undefined || others.length === 0 ? '–' : formatRanges(others),
          distances.length === 0 ? '–' : shortNumber(Math.max(...distances)),
          shortNumber(slice.mean),
          shortNumber(slice.standardDeviation),
        ]
      }),
    },
    { width: 80 },
  )
  return table.split('\n')
}

/** One row a projection and layer: matrices, readers, how far apart. */
function sharingTable(subject: Subject, compared: readonly ComparedHeads[], { style }: Screen): string {
  const table = tableToText(
    {
      columns: [
        { title: '' },
        { title: 'stored', align: 'right' },
        { title: 'read by' },
        { title: 'same matrix', align: 'right' },
        { title: 'different', align: 'right' },
        { title: '|cosine|', align: 'right' },
        { title: 'CKA', align: 'right' },
      ],
      rows: compared.flatMap(({ layer, projection, sharing }) => {
        if (sharing === null) return []
        const shared = sumUpSharing(sharing)
        return [
          [
            `layer ${layer} ${matrixName(projection)}`,
            `${shared.stored}`,
            readBy(shared),
            shared.within === null ? '–' : shortNumber(shared.within),
            ...(shared.between === null
              ? ['–', '–', '–']
              : [
                  `≥ ${shortNumber(shared.between.difference)}`,
                  `≤ ${shortNumber(shared.between.cosine)}`,
                  `≤ ${shortNumber(shared.between.cka)}`,
                ]),
          ],
        ]
      }),
    },
    { head: style.bold, width: 80 },
  )
  const caption = `${subject.name}: largest difference of two heads' whole matrices, of heads that have the same one and of heads that have different ones; cosine and linear CKA of the latter`
  return [table, ...wrap(caption, 80).map(style.dim)].join('\n')
}

/** What the figures say, and what they cannot. */
function concludeWeights(subject: Subject, compared: readonly ComparedHeads[], { style }: Screen): string {
  const sentences = compared.flatMap((one) => sharedSentence(subject, one))
  return [
    style.bold('WHAT THIS SHOWS, AND WHAT NOT'),
    ...sentenceList([
      ...sentences,
      subject.synthetic
        ? 'Not shown: what trained weights look like. These are drawn from a seed: who shares what is real, the pattern is not.'
        : 'Not shown: whether heads with different matrices act differently (a head sees W_K only through its W_Q), nor whether alike ones act alike.',
    ]),
  ].join('\n')
}

/** What sharing one projection saves; for heads that have matrices of their own, that they do. */
function sharedSentence(subject: Subject, one: ComparedHeads): string[] {
  if (one.sharing === null) return []
  const shared = sumUpSharing(one.sharing)
  const what = `${matrixName(one.projection)} of layer ${one.layer}`
  const bytes = matrixBytes(subject, one)
  const size = (matrices: number) => (bytes === null ? '' : formatDecimalBytes(matrices * bytes))
  if (shared.stored === shared.heads) {
    const apart =
      shared.between === null
        ? ''
        : `, no two alike: the largest difference of any two is ${shortNumber(shared.between.difference)} at least`
    const held = bytes === null ? '' : ` (${size(shared.heads)})`
    return [`${what}: ${shared.heads} heads, ${shared.heads} matrices${held}${apart}.`]
  }
  const source = one.projection === 'DKV' ? 'latent' : 'K/V head'
  const cause = one.sharing.byConstruction ? `they read the same ${source}` : 'their values are equal'
  const saved = bytes === null ? '' : `, ${size(shared.stored)} in place of ${size(shared.heads)}`
  const times =
    shared.stored === 1
      ? `stored once and read by all ${shared.heads} heads`
      : `${shared.stored} matrices, read by ${shared.heads} heads`
  return [
    `${what}: ${times}${saved}. Largest difference of heads that share one: ${shortNumber(shared.within ?? 0)}, for ${cause}.`,
  ]
}
