import { type Command, InvalidArgumentError, Option } from 'commander'
import type { Config } from '../config.ts'
import type { Terminal } from './terminal.ts'

/** What every command is given: settings, the terminal, and a signal that aborts on Ctrl-C or SIGTERM. */
export interface CommandContext {
  readonly config: Config
  readonly terminal: Terminal
  readonly signal: AbortSignal
}

/** Adds the option that every command takes. */
export function withJsonOption(command: Command): Command {
  return command.addOption(new Option('--json [FILE]', 'result as JSON, to FILE or instead of text'))
}

/** A whole number from `least` to `most`, for commander: anything else is a usage error. */
export function wholeNumber(least: number, most: number = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (!/^\d+$/.test(text) || value < least || value > most) {
      throw new InvalidArgumentError(`${text} is not a whole number from ${least} to ${most}.`)
    }
    return value
  }
}

/** Whole numbers separated by commas. */
export function wholeNumbers(least: number, most: number = Number.MAX_SAFE_INTEGER): (text: string) => number[] {
  const one = wholeNumber(least, most)
  return (text) => text.split(',').map((part) => one(part.trim()))
}

/** Bytes as people write them: `24GB`, `80 GiB`, `512MB`, or a bare number. */
export function byteCount(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([kMGT]?)(i?)B?$/.exec(text.trim())
  const [, digits, prefix, binary] = match ?? []
  if (digits === undefined) throw new InvalidArgumentError(`${text} is not a size such as 24GB, 80GiB or 1000000.`)
  const power = prefix === '' || prefix === undefined ? 0 : 'kMGT'.indexOf(prefix) + 1
  return Math.round(Number(digits) * (binary === 'i' ? 1024 : 1000) ** power)
}

/** Collects an option that may be given several times. */
export function collect(value: string, earlier: string[] = []): string[] {
  return [...earlier, value]
}

/** Text for the end of `--help`. */
export function examples(...lines: string[]): string {
  return `\nExamples:\n${lines.map((line) => `  $ kvscope ${line}`).join('\n')}`
}
