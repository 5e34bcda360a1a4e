import type { TensorFault } from '../architecture/check-tensors.ts'
import { layerRanges } from '../architecture/layer-ranges.ts'
import type { ModelFacts } from '../architecture/model-facts.ts'
import type { TensorGroup } from '../architecture/tensor-groups.ts'
import { quote } from '../checkpoints/quote.ts'
import { sharingStrip } from '../render/sharing.ts'
import type { Style } from '../render/style.ts'
import { tableToText, wrap } from '../render/table.ts'
import { formatBytes, formatCount, formatInteger, formatPercent } from '../render/units.ts'

export interface TensorSummary {
  dtype: string
  tensors: number
  bytes: number
}

/** What was seen of the weights beside the facts. */
export interface SeenWeights {
  /** where the weights lie, in words */
  place: string
  tensors: readonly TensorSummary[]
  tensorGroups: readonly TensorGroup[]
  faults: readonly TensorFault[]
  unexpected: readonly string[]
}

const width = 80
const doubtsShown = 5

/** `kvscope inspect` in 80 columns. */
export function inspectText(facts: ModelFacts, seen: SeenWeights, style: Style): string {
  const { place, faults, unexpected } = seen
  return [
    `${style.bold(facts.name)}  ${style.accent(facts.attentionKind)}, family ${facts.family}\n${place}`,
    sizesText(facts, seen, style),
    sharingText(facts, style),
    facts.layerAttention.length > 1 ? layersText(facts, style) : null,
    evidenceText(facts, style),
    warningsText(facts),
    doubtsText(faults, unexpected),
    partsText(facts, style),
    tensorsText(seen, style),
  ]
    .filter((part) => part !== null)
    .join('\n\n')
}

function sizesText(facts: ModelFacts, { tensors }: SeenWeights, style: Style): string {
  const kvHeads = facts.kvHeads === null ? '' : `, ${facts.kvHeads} K/V heads`
  const { F16, INT8, INT4 } = facts.kvBytesPerToken
  const rows = [
    ['layers', `${facts.layers}`],
    ['attention', `${facts.heads} query heads${kvHeads}`],
    ['head dim', facts.keyDim === facts.valueDim ? `${facts.keyDim}` : `${facts.keyDim} of K, ${facts.valueDim} of V`],
    ['hidden size', formatInteger(facts.hiddenSize)],
    ['context', `${formatInteger(facts.contextLength)} positions`],
    ['vocabulary', `${formatInteger(facts.vocabularySize)} tokens`],
    ['parameters', `${formatCount(facts.parameters)} (${formatInteger(facts.parameters)})`],
    ...activeText(facts),
    [
      'KV bytes a token',
      `${formatInteger(F16)} at 16 bits, ${formatInteger(INT8)} at 8, ${formatInteger(INT4)} at 4${capped(facts)}`,
    ],
    ...tensors.map(({ dtype, tensors: count, bytes }) => [`${dtype} tensors`, `${count}, ${formatBytes(bytes)}`]),
  ]
  return tableToText({ columns: [{ title: 'size' }, { title: 'value' }], rows }, { head: style.bold, width })
}

/** Of a model with experts: what a token goes through. */
function activeText({ parameters, activeParameters = parameters }: ModelFacts): string[][] {
  if (activeParameters === parameters) return []
  return [['a token uses', `${formatCount(activeParameters)} of them, of experts the chosen ones`]]
}

function capped({ layerAttention }: ModelFacts): string {
  return layerAttention.some((group) => group.window !== null) ? ', until windows are full' : ''
}

function sharingText({ heads, kvHeads }: ModelFacts, style: Style): string | null {
  if (kvHeads === null || heads > 39 || heads % kvHeads !== 0) return null
  return `${style.dim('● '.repeat(heads).trimEnd())}  query heads\n${style.accent(sharingStrip(heads, kvHeads))}  K/V heads`
}

function layersText(facts: ModelFacts, style: Style): string {
  return tableToText(
    {
      columns: [
        { title: 'layers' },
        { title: 'kind' },
        { title: 'K/V heads', align: 'right' },
        { title: 'window', align: 'right' },
        { title: 'bytes a token', align: 'right' },
      ],
      rows: facts.layerAttention.map(({ layers, kind, kvHeads, window, kvBytesPerToken }) => [
        `${layers.length}: ${layerRanges(layers)}`,
        kind,
        kvHeads === null ? 'latent' : `${kvHeads}`,
        window === null ? 'all' : formatInteger(window),
        formatInteger(kvBytesPerToken.F16),
      ]),
    },
    { head: style.bold, width },
  )
}

function evidenceText({ votes }: ModelFacts, style: Style): string {
  const lines = votes.flatMap(({ by, kind, evidence }) => {
    return hang(`${by.toLowerCase()} says ${kind}: ${evidence}`, '· ')
  })
  return [style.bold('why it is taken for that'), ...lines].join('\n')
}

function warningsText({ warnings }: ModelFacts): string | null {
  if (warnings.length === 0) return null
  return warnings.flatMap(({ code, message, advice }) => hang(`${code}: ${message}. ${advice}`, '! ')).join('\n')
}

/** Why the weights would not run with their config.json, for a checkpoint that can be looked at all the same. */
function doubtsText(faults: readonly TensorFault[], unexpected: readonly string[]): string | null {
  const lines = faults.slice(0, doubtsShown).flatMap(({ message }) => hang(`TENSORS_DISAGREE: ${message}.`, '! '))
  const [first] = faults
  if (first)
    lines.push(...hang(`${faults.length} of its tensors cannot be read as config.json has them. ${first.hint}`, '! '))
  if (unexpected.length > 0) {
    const named = unexpected.slice(0, doubtsShown).map(quote).join(', ')
    const rest = unexpected.length > doubtsShown ? ` and ${unexpected.length - doubtsShown} more` : ''
    const advice = 'Check that weights and config.json belong together.'
    lines.push(...hang(`TENSORS_LEFT_OVER: config.json does not account for ${named}${rest}. ${advice}`, '! '))
  }
  return lines.length === 0 ? null : lines.join('\n')
}

function partsText({ parameterParts = [], parameters }: ModelFacts, style: Style): string {
  return tableToText(
    {
      columns: [
        { title: 'part' },
        { title: 'parameters', align: 'right' },
        { title: 'share', align: 'right' },
        { title: 'tensors', align: 'right' },
      ],
      rows: parameterParts.map((part) => [
        part.name,
        formatInteger(part.parameters),
        formatPercent(part.parameters / parameters),
        formatInteger(part.tensors),
      ]),
    },
    { head: style.bold, width },
  )
}

/** Without weights there is no dtype to show. */
function tensorsText({ tensorGroups }: SeenWeights, style: Style): string {
  const stored = tensorGroups.some(({ dtype }) => dtype !== null)
  return tableToText(
    {
      columns: [
        { title: stored ? 'tensor' : 'tensor that config.json asks for' },
        { title: 'shape' },
        ...(stored ? [{ title: 'dtype' }] : []),
        { title: 'number', align: 'right' },
      ],
      rows: tensorGroups.map(({ name, shape, dtype, tensors }) => [
        name,
        `[${shape.join(', ')}]`,
        ...(stored ? [dtype ?? ''] : []),
        formatInteger(tensors),
      ]),
    },
    { head: style.bold, width },
  )
}

function hang(text: string, mark: string): string[] {
  return wrap(text, 78).map((line, index) => (index === 0 ? mark : '  ') + line)
}
