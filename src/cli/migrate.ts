import type { Command } from 'commander'
import { type CommandContext, examples, withJsonOption } from './command.ts'
import { deliver, type JsonOption } from './terminal.ts'

/** `kvscope migrate`: brings the tables of the database up to this version. */
export function addMigrateCommand(program: Command, context: CommandContext): void {
  const command = program
    .command('migrate')
    .description('bring the database up to this version; safe to run at any time, also twice at once')
    .addHelpText('after', examples('migrate'))
    .action((options: { json?: JsonOption }) => run(context, options.json))
  withJsonOption(command)
}

async function run({ config, terminal }: CommandContext, json: JsonOption): Promise<void> {
  const [{ openDatabaseServer }, { migrateAll }] = await Promise.all([
    import('./database.ts'),
    import('../jobs/migrate-all.ts'),
  ])
  const database = await openDatabaseServer(config)
  try {
    // A database of our own has been migrated by being opened.
    const applied = [...database.applied, ...(await migrateAll(database.url, config))]
    await deliver(terminal, json, { applied }, ['The database is up to date.', ...applied].join('\n'))
  } finally {
    await database.stop()
  }
}
