import { CommanderError } from 'commander'
import { readConfig } from '../config.ts'
import { surviveConnectionLoss } from '../db/connection-loss.ts'
import { AppError, toErrorRecord } from '../errors.ts'
import { createStyle } from '../render/style.ts'
import { llamaBenchFlags } from './benchmarks/bench-options.ts'
import { createProgram, exitCodes, failureCodes } from './program.ts'
import { createTerminal, ignoreBrokenPipe } from './terminal.ts'

/** A process that cannot end in order within this time after its supervisor's death ends anyway. */
const orphanGraceMs = 4_000

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
  const failure = failureCodes(args)
  let code = exitCodes.fine
  const endWith = (asked: number) => {
    code = asked
  }
  try {
    const config = readConfig()
    const terminal = createTerminal(process, config, Date.now)
    const program = createProgram({ config, terminal, signal: ending.signal, endWith })
    await program.parseAsync(llamaBenchFlags(args), { from: 'user' })
    return ending.cause() === 'SIGINT' ? exitCodes.interrupted : code
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.fine : failure.usage
    if (ending.signal.aborted) return interrupted()
    report(error)
    return failure.failed
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
