import { Command, CommanderError } from 'commander'
import { readConfig } from '../config.ts'
import { surviveConnectionLoss } from '../db/connection-loss.ts'
import { AppError, toErrorRecord } from '../errors.ts'
import { createStyle } from '../render/style.ts'
import { addBenchCommand } from './bench.ts'
import type { CommandContext } from './command.ts'
import { addCompareCommand } from './compare.ts'
import { addDemoCommand } from './demo.ts'
import { addExportCommand } from './export.ts'
import { addGenerateCommand } from './generate.ts'
import { addHeadsCommand } from './heads.ts'
import { addInspectCommand } from './inspect.ts'
import { addKvCommand } from './kv.ts'
import { addMigrateCommand } from './migrate.ts'
import { addReportCommand } from './report.ts'
import { addResetCommand } from './reset.ts'
import { addRunsCommand } from './runs.ts'
import { addServeCommand } from './serve.ts'
import { checkJsonFile, createTerminal, ignoreBrokenPipe, type JsonOption } from './terminal.ts'
import { addWorkerCommand } from './worker.ts'

/** See afterHelp. */
const exitCodes = { fine: 0, failed: 1, usage: 2, interrupted: 130, terminated: 143 }

/** A process that cannot end in order within this time after its supervisor's death ends anyway. */
const orphanGraceMs = 4_000

const description = `Shows what an attention layer shares between its heads, and what that costs and saves.

Start with "kvscope demo". Results go to stdout, progress and errors to stderr.`

const afterHelp = `
Exit codes: 0 fine, 1 failed, 2 wrong usage, 130 interrupted with Ctrl-C; 143 ended with SIGTERM,
but 0 where serve, worker or demo --serve ended in order.
Settings come from the environment: see the configuration table in README.md.`

function createProgram(context: CommandContext): Command {
  const program = new Command('kvscope').description(description).addHelpText('after', afterHelp)
  program.hook('preAction', (_program, command) => checkJsonFile(command.opts<{ json?: JsonOption }>().json))
  program.exitOverride().showHelpAfterError('(see --help)').helpCommand(false)
  addDemoCommand(program, context)
  addServeCommand(program, context)
  addWorkerCommand(program, context)
  addMigrateCommand(program, context)
  addResetCommand(program, context)
  addBenchCommand(program, context)
  addHeadsCommand(program, context)
  addKvCommand(program, context)
  addInspectCommand(program, context)
  addGenerateCommand(program, context)
  addRunsCommand(program, context)
  addCompareCommand(program, context)
  addExportCommand(program, context)
  addReportCommand(program, context)
  return program
}

/** The signal that everything below listens to; the first of Ctrl-C, SIGTERM or a supervisor's death aborts it. */
function listenForEnd(): { signal: AbortSignal; cause: () => 'SIGINT' | 'SIGTERM' | null } {
  const abort = new AbortController()
  let cause: 'SIGINT' | 'SIGTERM' | null = null
  const end = (name: 'SIGINT' | 'SIGTERM') => {
    // One Ctrl-C may arrive twice, from the terminal and from npm; stopping is bounded, so once is enough.
    cause ??= name
    abort.abort(new Error(`ended by ${name}`))
  }
  process.on('SIGINT', () => end('SIGINT'))
  process.on('SIGTERM', () => end('SIGTERM'))
  process.on('SIGHUP', () => end('SIGTERM'))
  if (process.connected) {
    process.once('disconnect', () => {
      end('SIGTERM')
      setTimeout(() => process.exit(exitCodes.failed), orphanGraceMs).unref()
    })
  }
  return { signal: abort.signal, cause: () => cause }
}

async function main(args: readonly string[]): Promise<number> {
  const ending = listenForEnd()
  ignoreBrokenPipe(process.stdout)
  const interrupted = () => (ending.cause() === 'SIGINT' ? exitCodes.interrupted : exitCodes.terminated)
  try {
    const config = readConfig()
    const terminal = createTerminal(process, config, Date.now)
    await createProgram({ config, terminal, signal: ending.signal }).parseAsync(args, { from: 'user' })
    return ending.cause() === 'SIGINT' ? exitCodes.interrupted : exitCodes.fine
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.fine : exitCodes.usage
    if (ending.signal.aborted) return interrupted()
    report(error)
    return exitCodes.failed
  }
}

/** An AppError without a stack, for whoever can act on it; anything else with one, for whoever mends kvscope. */
function report(error: unknown): void {
  const record = error instanceof AppError ? toErrorRecord(error) : null
  if (process.connected && record !== null) process.send?.({ type: 'failed', error: record })
  const style = createStyle(process.stderr.isTTY === true && readsColour())
  if (record === null) {
    const stack = error instanceof Error ? (error.stack ?? error.message) : String(error)
    process.stderr.write(`\n${style.bad('error INTERNAL:')} ${stack}\n`)
    return
  }
  process.stderr.write(`${style.bad(`error ${record.code}:`)} ${record.message}\n`)
  if (record.hint !== null) process.stderr.write(`  ${record.hint}\n`)
}

/** Settings that cannot be read are the error that is being reported. */
function readsColour(): boolean {
  try {
    return readConfig().colour
  } catch {
    return false
  }
}

/** What was written to a pipe may still be on its way. */
function flushed(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => stream.write('', () => resolve()))
}

// A lost connection is told to whoever used it as well.
surviveConnectionLoss(
  () => undefined,
  (error) => {
    report(error)
    process.exit(exitCodes.failed)
  },
)
const code = await main(process.argv.slice(2))
await Promise.all([flushed(process.stdout), flushed(process.stderr)])
process.exit(code)
