import type { Command } from 'commander'
import type { NamedTensor } from '../architecture/tensor-groups.ts'
import type { Checkpoint } from '../checkpoints/checkpoint.ts'
import { type CommandContext, examples, withJsonOption } from './command.ts'
import { inspectText, type TensorSummary } from './inspect-text.ts'
import { deliver, type JsonOption } from './terminal.ts'

interface Options {
  json?: JsonOption
}

/** `kvscope inspect`: what a checkpoint really is, by its config and by its weights' shapes and values. */
export function addInspectCommand(program: Command, context: CommandContext): void {
  const command = program
    .command('inspect')
    .argument('<MODEL>', "a checkpoint's folder, a preset's name or a config.json")
    .description('what a checkpoint really is: attention kind with the evidence, sizes, tensors')
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
  const { config, shapes, checkpoint } = read
  const facts = describeModel(config, shapes, await readKvHeadCopies(read))
  const { faults, unexpected } =
    checkpoint === null || shapes === null
      ? { faults: [], unexpected: [] }
      : compareTensors(checkpoint, followShapes(config, shapes))
  const tensors = checkpoint === null ? [] : summarizeTensors(checkpoint)
  const tensorGroups = groupTensors(
    checkpoint === null
      ? expectedTensors(config).map((tensor) => ({ ...tensor, dtype: null }))
      : allTensors(checkpoint),
  )
  const stored = checkpoint && {
    directory: checkpoint.directory,
    fingerprint: checkpoint.fingerprint,
    synthetic: checkpoint.synthetic,
    tensorFaults: faults.map(({ message }) => message),
    unexpectedTensors: unexpected,
  }
  const seen = { checkpoint, tensors, tensorGroups, faults, unexpected }
  await deliver(
    terminal,
    options.json,
    { ...facts, checkpoint: stored, tensors, tensorGroups },
    inspectText(facts, seen, terminal.style),
  )
}

/** In the files' order, those that the engine cannot read among them. */
function allTensors({ tensors, unread }: Checkpoint): NamedTensor[] {
  return [...tensors.values(), ...(unread?.values() ?? [])]
}

function summarizeTensors(checkpoint: Checkpoint): TensorSummary[] {
  const byDtype = new Map<string, TensorSummary>()
  for (const { dtype, length } of checkpoint.tensors.values()) {
    const summary = byDtype.get(dtype) ?? { dtype, tensors: 0, bytes: 0 }
    byDtype.set(dtype, { dtype, tensors: summary.tensors + 1, bytes: summary.bytes + length })
  }
  return [...byDtype.values()]
}
