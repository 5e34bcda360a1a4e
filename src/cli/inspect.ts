import type { Command } from 'commander'
import type { TensorFault } from '../architecture/check-tensors.ts'
import type { ModelFacts } from '../architecture/model-facts.ts'
import type { Checkpoint } from '../checkpoints/checkpoint.ts'
import { quote } from '../checkpoints/quote.ts'
import { sharingStrip } from '../render/sharing.ts'
import type { Style } from '../render/style.ts'
import { tableToText, wrap } from '../render/table.ts'
import { formatBytes, formatCount, formatInteger } from '../render/units.ts'
import { type CommandContext, examples, withJsonOption } from './command.ts'
import { deliver, type JsonOption } from './terminal.ts'

/** `kvscope inspect`: what a checkpoint really is, by its config and by its weights' shapes. */
export function addInspectCommand(program: Command, context: CommandContext): void {
  const command = program
    .command('inspect')
    .argument('<MODEL>', "a checkpoint's folder, a preset's name or a config.json")
    .description('what a checkpoint really is: attention kind with the evidence, sizes, tensors')
    .addHelpText('after', examples('inspect models/gpt2', 'inspect gemma-2b', 'inspect models/gpt2/config.json --json'))
    .action((model: string, options: { json?: JsonOption }) => inspect(model, options, context))
  withJsonOption(command)
}

interface TensorSummary {
  dtype: string
  tensors: number
  bytes: number
}

async function inspect(model: string, options: { json?: JsonOption }, { terminal }: CommandContext): Promise<void> {
  const [{ readSource }, { describeModel }, { compareTensors }, { followShapes }, { anySource }] = await Promise.all([
    import('../jobs/model-source.ts'),
    import('../architecture/model-facts.ts'),
    import('../architecture/check-tensors.ts'),
    import('../architecture/kv-heads-by-shape.ts'),
    import('./source.ts'),
  ])
  const { source, roots } = await anySource(model)
  const { config, shapes, checkpoint } = await readSource(source, roots)
  const facts = describeModel(config, shapes)
  const tensors = checkpoint === null ? [] : summarizeTensors(checkpoint)
  const { faults, unexpected } =
    checkpoint === null || shapes === null
      ? { faults: [], unexpected: [] }
      : compareTensors(checkpoint, followShapes(config, shapes))
  const stored = checkpoint && {
    directory: checkpoint.directory,
    fingerprint: checkpoint.fingerprint,
    synthetic: checkpoint.synthetic,
    tensorFaults: faults.map(({ message }) => message),
    unexpectedTensors: unexpected,
  }
  const text = inspectText(facts, checkpoint, tensors, terminal.style)
  const doubts = tensorDoubts(faults, unexpected)
  await deliver(
    terminal,
    options.json,
    { ...facts, checkpoint: stored, tensors },
    doubts === null ? text : `${text}\n\n${doubts}`,
  )
}

const doubtsShown = 5

/** Why the weights would not run with their config.json, for a checkpoint that can be looked at all the same. */
function tensorDoubts(faults: readonly TensorFault[], unexpected: readonly string[]): string | null {
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

function summarizeTensors(checkpoint: Checkpoint): TensorSummary[] {
  const byDtype = new Map<string, TensorSummary>()
  for (const { dtype, length } of checkpoint.tensors.values()) {
    const summary = byDtype.get(dtype) ?? { dtype, tensors: 0, bytes: 0 }
    byDtype.set(dtype, { dtype, tensors: summary.tensors + 1, bytes: summary.bytes + length })
  }
  return [...byDtype.values()]
}

function inspectText(
  facts: ModelFacts,
  checkpoint: Checkpoint | null,
  tensors: readonly TensorSummary[],
  style: Style,
): string {
  const kvHeads = facts.kvHeads === null ? '' : `, ${facts.kvHeads} K/V heads`
  const where =
    checkpoint === null
      ? 'no weights: sizes only'
      : `${checkpoint.directory}${checkpoint.synthetic ? ', SYNTHETIC WEIGHTS' : ''}`
  const parts = [
    `${style.bold(facts.name)}  ${style.accent(facts.attentionKind)}, family ${facts.family}\n${where}`,
    tableToText(
      {
        columns: [{ title: 'size' }, { title: 'value' }],
        rows: [
          ['layers', `${facts.layers}`],
          ['attention', `${facts.heads} query heads${kvHeads}`],
          [
            'head dim',
            facts.keyDim === facts.valueDim ? `${facts.keyDim}` : `${facts.keyDim} of K, ${facts.valueDim} of V`,
          ],
          ['hidden size', formatInteger(facts.hiddenSize)],
          ['context', `${formatInteger(facts.contextLength)} positions`],
          ['vocabulary', `${formatInteger(facts.vocabularySize)} tokens`],
          ['parameters', `${formatCount(facts.parameters)} (${formatInteger(facts.parameters)})`],
          [
            'KV cache',
            `${formatInteger(facts.kvBytesPerToken.F16)} bytes a token in F16, ${formatInteger(facts.kvBytesPerToken.F32)} in F32`,
          ],
          ...tensors.map(({ dtype, tensors: count, bytes }) => [`${dtype} tensors`, `${count}, ${formatBytes(bytes)}`]),
        ],
      },
      { head: style.bold, width: 80 },
    ),
  ]
  if (facts.kvHeads !== null && facts.heads <= 39 && facts.heads % facts.kvHeads === 0) {
    parts.push(
      `${style.dim('● '.repeat(facts.heads).trimEnd())}  query heads\n${style.accent(sharingStrip(facts.heads, facts.kvHeads))}  K/V heads`,
    )
  }
  if (facts.layerAttention.length > 1) parts.push(layersText(facts, style))
  parts.push(
    [
      style.bold('why it is taken for that'),
      ...facts.votes.flatMap(({ by, kind, evidence }) => hang(`${by.toLowerCase()} says ${kind}: ${evidence}`, '· ')),
    ].join('\n'),
  )
  if (facts.warnings.length > 0) {
    parts.push(
      facts.warnings.flatMap(({ code, message, advice }) => hang(`${code}: ${message}. ${advice}`, '! ')).join('\n'),
    )
  }
  return parts.join('\n\n')
}

function hang(text: string, mark: string): string[] {
  return wrap(text, 78).map((line, index) => (index === 0 ? mark : '  ') + line)
}

function layersText(facts: ModelFacts, style: Style): string {
  return tableToText(
    {
      columns: [
        { title: 'layers' },
        { title: 'kind' },
        { title: 'K/V heads', align: 'right' },
        { title: 'window', align: 'right' },
      ],
      rows: facts.layerAttention.map(({ layers, kind, kvHeads, window }) => [
        layers.length > 6 ? `${layers.length} layers from ${layers[0]}` : layers.join(', '),
        kind,
        kvHeads === null ? 'latent' : `${kvHeads}`,
        window === null ? 'all' : formatInteger(window),
      ]),
    },
    { head: style.bold, width: 80 },
  )
}
