import type { Command } from 'commander'
import { type CommandContext, examples, withJsonOption } from './command.ts'
import { untilAborted } from './serve.ts'
import { type JsonOption, writeJson } from './terminal.ts'

/** `kvscope worker`: a process that takes runs from the queues of the devices it offers. */
export function addWorkerCommand(program: Command, context: CommandContext): void {
  const command = program
    .command('worker')
    .description('take runs from the queue and execute them until Ctrl-C')
    .addHelpText('after', examples('worker'))
    .action((options: { json?: JsonOption }) => work(context, options.json))
  withJsonOption(command)
}

async function work({ config, terminal, signal }: CommandContext, json: JsonOption): Promise<void> {
  const [{ startWorker }, { openDatabaseServer }] = await Promise.all([
    import('../workers/main.ts'),
    import('./database.ts'),
  ])
  const database = await openDatabaseServer(config)
  try {
    signal.throwIfAborted()
    const worker = await startWorker(config, database.url)
    try {
      process.send?.({ type: 'ready' })
      if (!process.connected) terminal.note('kvscope worker waits for runs; Ctrl-C stops it')
      await writeJson(terminal, json, { pid: process.pid })
      await untilAborted(signal)
    } finally {
      await worker.stop()
    }
  } finally {
    await database.stop()
  }
}
