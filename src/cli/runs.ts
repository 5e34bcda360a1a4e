import type { Command } from 'commander'
import { type CommandContext, examples, withJsonOption } from './command.ts'
import { findRunId, runArgument } from './find-run.ts'
import { addBaselineCommands } from './history/baseline.ts'
import { addChangeCommands } from './history/change.ts'
import { addListCommand } from './history/list.ts'
import { addPruneCommand } from './history/prune.ts'
import { addTrendCommand } from './history/trend.ts'
import { withApi } from './server.ts'
import { showRun as showStoredRun } from './show-run.ts'
import { deliver, type JsonOption } from './terminal.ts'

/** `kvscope runs`: what is stored, and what becomes of it. */
export function addRunsCommand(program: Command, context: CommandContext): void {
  const runs = program.command('runs').description('list the stored runs, show, edit, delete and follow them over time')
  addListCommand(runs, context)
  addShowCommand(runs, context)
  addTrendCommand(runs, context)
  addChangeCommands(runs, context)
  addBaselineCommands(runs, context)
  addPruneCommand(runs, context)
}

interface ShowOptions {
  server?: string
  json?: JsonOption
}

function addShowCommand(runs: Command, context: CommandContext): void {
  const show = runs
    .command('show')
    .argument('<ID>', runArgument)
    .description('everything about one run')
    .option('--server <URL>', 'the API to ask (default: the one of the data folder)')
    .addHelpText('after', examples('runs show latest', 'runs show latest~1 --json run.json'))
    .action((id: string, options: ShowOptions) => showRun(id, options, context))
  withJsonOption(show)
}

async function showRun(id: string, options: ShowOptions, context: CommandContext): Promise<void> {
  const { terminal } = context
  const shown = await withApi(context, options.server, async (client) =>
    showStoredRun(client, await findRunId(client, id), { screen: terminal, json: options.json }),
  )
  await deliver(terminal, options.json, shown.json, shown.text)
}
