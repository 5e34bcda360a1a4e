import type { Command } from 'commander'
import { AppError } from '../errors.ts'
import { type CommandContext, examples, withJsonOption } from './command.ts'
import { confirm } from './confirm.ts'
import { deliver, type JsonOption } from './terminal.ts'

/** `kvscope reset`: removes the data folder and whatever PostgreSQL had to keep elsewhere. */
export function addResetCommand(program: Command, context: CommandContext): void {
  const command = program
    .command('reset')
    .description('remove all state: results, synthetic weights and the embedded database')
    .option('-y, --yes', 'do not ask')
    .addHelpText('after', examples('reset --yes'))
    .action((options: { yes?: true; json?: JsonOption }) => reset(context, options))
  withJsonOption(command)
}

async function reset(context: CommandContext, options: { yes?: true; json?: JsonOption }): Promise<void> {
  const { config, terminal } = context
  if (options.yes !== true && !(await confirm(context, `Remove everything in ${config.dataDir}? [y/N] `))) {
    throw new AppError('CONFLICT', `Nothing was removed from ${config.dataDir}`, 'Answer y, or add --yes.')
  }
  const { resetDataFolder } = await import('../embedded/data-folder.ts')
  const removed = await resetDataFolder(config.dataDir)
  const text =
    removed.length > 0 ? removed.map((path) => `removed ${path}`).join('\n') : `There was nothing in ${config.dataDir}.`
  await deliver(terminal, options.json, { removed }, text)
}
