import type { Command } from 'commander'
import type { NamedTensor } from '../architecture/tensor-groups.ts'
import type { Checkpoint } from '../checkpoints/checkpoint.ts'
import { AppError } from '../errors.ts'
import type { ReadSource } from '../jobs/model-source.ts'
import { formatBytes } from '../render/units.ts'
import { type CommandContext, examples, withJsonOption } from './command.ts'
import { inspectText, type TensorSummary } from './inspect-text.ts'
import { deliver, type JsonOption } from './terminal.ts'

interface Options {
  values?: true
  json?: JsonOption
}

/** `kvscope inspect`: what a checkpoint really is, by its config and by its weights' shapes and values. */
export function addInspectCommand(program: Command, context: CommandContext): void {
  const command = program
    .command('inspect')
    .argument('<MODEL>', "a checkpoint's folder, hub:ORG/NAME[@REVISION], a preset's name or a config.json")
    .description('what a checkpoint really is: attention kind with the evidence, sizes, tensors')
    .option('--values', 'of a hub model fetch K and V of one layer too, to see whether heads are copies')
    .addHelpText('after', examples('inspect models/gpt2', 'inspect gemma-2b', 'inspect models/gpt2/config.json --json'))
    .action((model: string, options: Options) => inspect(model, options, context))
  withJsonOption(command)
}

async function inspect(model: string, options: Options, { terminal, config: settings }: CommandContext): Promise<void> {
  const [
    { readKvHeadCopies, readSource },
    { describeModel },
    { compareTensors },
    { expectedTensors },
    { followShapes },
    { groupTensors },
    { anySource },
  ] = await Promise.all([
    import('../jobs/model-source.ts'),
    import('../architecture/model-facts.ts'),
    import('../architecture/check-tensors.ts'),
    import('../architecture/expected-tensors.ts'),
    import('../architecture/kv-heads-by-shape.ts'),
    import('../architecture/tensor-groups.ts'),
    import('./source.ts'),
  ])
  const { source, roots } = await anySource(model)
  const read = await readSource(source, roots, settings.hub)
  const { config, shapes, checkpoint, remote } = read
  if (options.values && shapes === null) {
    throw new AppError('VALIDATION_FAILED', `${model} has no weights whose values could be compared`, 'Leave --values.')
  }
  const facts = describeModel(config, shapes, await readKvHeadCopies(read, options.values ? settings.hub : null))
  const weights = checkpoint ?? (remote && { ...remote, directory: `${remote.repo}@${remote.commit}` })
  const { faults, unexpected } =
    !weights || shapes === null ? { faults: [], unexpected: [] } : compareTensors(weights, followShapes(config, shapes))
  const tensors = weights ? summarizeTensors(weights) : []
  const tensorGroups = groupTensors(
    weights && shapes !== null
      ? allTensors(weights)
      : expectedTensors(config).map((tensor) => ({ ...tensor, dtype: null })),
  )
  const doubts = { tensorFaults: faults.map(({ message }) => message), unexpectedTensors: unexpected }
  const stored = checkpoint && {
    directory: checkpoint.directory,
    fingerprint: checkpoint.fingerprint,
    synthetic: checkpoint.synthetic,
    ...doubts,
  }
  const onHub = remote && {
    repo: remote.repo,
    revision: remote.revision,
    commit: remote.commit,
    bytesFetched: remote.bytesFetched,
    synthetic: remote.synthetic,
    ...doubts,
  }
  const seen = { place: placeOf(read), tensors, tensorGroups, faults, unexpected }
  await deliver(
    terminal,
    options.json,
    { ...facts, checkpoint: stored, ...(onHub ? { hub: onHub } : {}), tensors, tensorGroups },
    inspectText(facts, seen, terminal.style),
  )
}

/** Where the weights lie and what was fetched to see them. */
function placeOf({ checkpoint, remote, synthetic }: ReadSource): string {
  const drawn = synthetic ? ', SYNTHETIC WEIGHTS' : ''
  if (checkpoint !== null) return `${checkpoint.directory}${drawn}`
  if (remote === undefined) return 'no weights: sizes only'
  const { repo, revision, commit, bytesFetched } = remote
  return `${repo} at ${revision}, commit ${commit.slice(0, 12)}${drawn}; headers alone, ${formatBytes(bytesFetched)} fetched`
}

/** In the files' order, those that the engine cannot read among them. */
function allTensors({ tensors, unread }: Pick<Checkpoint, 'tensors' | 'unread'>): NamedTensor[] {
  return [...tensors.values(), ...(unread?.values() ?? [])]
}

function summarizeTensors(checkpoint: Pick<Checkpoint, 'tensors'>): TensorSummary[] {
  const byDtype = new Map<string, TensorSummary>()
  for (const { dtype, length } of checkpoint.tensors.values()) {
    const summary = byDtype.get(dtype) ?? { dtype, tensors: 0, bytes: 0 }
    byDtype.set(dtype, { dtype, tensors: summary.tensors + 1, bytes: summary.bytes + length })
  }
  return [...byDtype.values()]
}
