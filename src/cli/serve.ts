import type { Command } from 'commander'
import { type CommandContext, examples, withJsonOption } from './command.ts'
import type { JsonOption } from './terminal.ts'
import { writeJson } from './terminal.ts'

/** `kvscope serve`: the whole service, or with --api-only the API of one that has its parts elsewhere. */
export function addServeCommand(program: Command, context: CommandContext): void {
  const command = program
    .command('serve')
    .description('run the API with its database and one worker until Ctrl-C')
    .option('--api-only', 'the API alone; run a worker beside it with: kvscope worker')
    .addHelpText('after', examples('serve', 'serve --api-only --json address.json'))
    .action((options: { apiOnly?: true; json?: JsonOption }) =>
      options.apiOnly ? serveApi(context, options.json) : serveAll(context, options.json),
    )
  withJsonOption(command)
}

async function serveAll({ config, terminal, signal }: CommandContext, json: JsonOption): Promise<void> {
  const { startSupervisor } = await import('./supervisor.ts')
  const supervisor = await startSupervisor({
    config,
    signal,
    output: 'inherit',
    onStep: (text) => terminal.note(`${text} ...`),
    onNotice: (text) => terminal.note(text),
  })
  try {
    const stop = config.databaseUrl === null ? 'Ctrl-C stops it; results stay in' : 'Ctrl-C stops it; weights stay in'
    terminal.note(`kvscope serves ${supervisor.address}/graphql (a playground in a browser)`)
    terminal.note(`${stop} ${config.dataDir}`)
    await writeJson(terminal, json, { address: supervisor.address, pid: process.pid, dataDir: config.dataDir })
    await untilAborted(signal)
    terminal.note('stopping ...')
  } finally {
    await supervisor.stop()
  }
}

async function serveApi({ config, terminal, signal }: CommandContext, json: JsonOption): Promise<void> {
  const [{ startApi }, { openDatabaseServer }] = await Promise.all([import('../api/main.ts'), import('./database.ts')])
  const database = await openDatabaseServer(config)
  try {
    signal.throwIfAborted()
    const api = await startApi(config, database.url)
    try {
      process.send?.({ type: 'ready' })
      if (!process.connected) terminal.note(`kvscope API serves ${api.address}/graphql`)
      await writeJson(terminal, json, { address: api.address, pid: process.pid })
      await untilAborted(signal)
    } finally {
      await api.close()
    }
  } finally {
    await database.stop()
  }
}

/** Resolves when the signal aborts. */
export function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    // A pending promise alone does not keep a process alive.
    const alive = setInterval(() => undefined, 60_000)
    signal.addEventListener(
      'abort',
      () => {
        clearInterval(alive)
        resolve()
      },
      { once: true },
    )
  })
}
