import type { Command } from 'commander'
import {
  BaselinesDocument,
  type BaselinesQuery,
  RemoveBaselineDocument,
  SetBaselineDocument,
} from '../../generated/operations.ts'
import { tableToText } from '../../render/table.ts'
import { type CommandContext, examples, withJsonOption } from '../command.ts'
import { findRunId, runArgument } from '../find-run.ts'
import { withApi } from '../server.ts'
import { deliver, type JsonOption } from '../terminal.ts'

interface Options {
  server?: string
  json?: JsonOption
}

type Baseline = BaselinesQuery['baselines'][number]

const serverOption = ['--server <URL>', 'the API to ask (default: the one of the data folder)'] as const

/** `kvscope runs baseline`: names that stand for runs to compare with. */
export function addBaselineCommands(runs: Command, context: CommandContext): void {
  const baseline = runs.command('baseline').description('names that stand for runs to compare with')
  const list = baseline
    .command('list', { isDefault: true })
    .description('list the names')
    .option(...serverOption)
    .addHelpText('after', examples('runs baseline', 'runs baseline list --json'))
    .action((options: Options) => listBaselines(options, context))
  withJsonOption(list)
  const set = baseline
    .command('set')
    .argument('<NAME>', 'the name; one that is taken moves to this run')
    .argument('<ID>', runArgument)
    .description('let a name stand for a run')
    .option(...serverOption)
    .addHelpText('after', examples('runs baseline set main latest'))
    .action((name: string, id: string, options: Options) => setBaseline(name, id, options, context))
  withJsonOption(set)
  const remove = baseline
    .command('rm')
    .argument('<NAME>', 'the name')
    .description('free a name; the run stays')
    .option(...serverOption)
    .addHelpText('after', examples('runs baseline rm main'))
    .action((name: string, options: Options) => removeBaseline(name, options, context))
  withJsonOption(remove)
}

async function listBaselines({ server, json }: Options, context: CommandContext): Promise<void> {
  const { baselines } = await withApi(context, server, (client) => client.request(BaselinesDocument, {}))
  const none = 'No baseline has a name. Give one with: kvscope runs baseline set NAME latest'
  await deliver(context.terminal, json, baselines, baselines.length === 0 ? none : baselinesText(baselines))
}

function baselinesText(baselines: readonly Baseline[]): string {
  return tableToText(
    {
      columns: [{ title: 'name' }, { title: 'run' }, { title: 'queued' }, { title: 'subjects' }],
      rows: baselines.map(({ name, run }) => [
        name,
        run.id,
        run.queuedAt.slice(0, 10),
        run.subjects.map((subject) => subject.name).join(', '),
      ]),
    },
    { width: 80 },
  )
}

async function setBaseline(
  name: string,
  id: string,
  { server, json }: Options,
  context: CommandContext,
): Promise<void> {
  const baseline = await withApi(context, server, async (client) => {
    const runId = await findRunId(client, id)
    return (await client.request(SetBaselineDocument, { name, runId })).setBaseline.baseline
  })
  await deliver(context.terminal, json, baseline, `${baseline.name} is run ${baseline.run.id}`)
}

async function removeBaseline(name: string, { server, json }: Options, context: CommandContext): Promise<void> {
  const { removeBaseline: removed } = await withApi(context, server, (client) =>
    client.request(RemoveBaselineDocument, { name }),
  )
  await deliver(context.terminal, json, removed, `${name} stands for no run any more; run ${removed.run.id} stays`)
}
