import { type Command, InvalidArgumentError, Option } from 'commander'
import type { Config } from '../config.ts'
import { defaultMargin } from '../stats/verdict.ts'
import type { Terminal } from './terminal.ts'

/** What every command is given: settings, the terminal, and a signal that aborts on Ctrl-C or SIGTERM. */
export interface CommandContext {
  readonly config: Config
  readonly terminal: Terminal
  readonly signal: AbortSignal
  /** Has the process end with this code although nothing failed: what a comparison says to whoever asked. */
  readonly endWith: (code: number) => void
}

/** Adds the option that every command takes. */
export function withJsonOption(command: Command): Command {
  return command.addOption(new Option('--json [FILE]', 'result as JSON, to FILE or instead of text'))
}

/** Adds the option of every command that takes long enough to say how far it is. */
export function withQuietOption(command: Command): Command {
  return command.option('-q, --quiet', 'no progress and no notes, the result alone')
}

/** `key=value`, collected; the value may be empty. */
export function labelOption(text: string, earlier: { key: string; value: string }[] = []) {
  const at = text.indexOf('=')
  if (at < 1) throw new InvalidArgumentError(`${text} is not KEY=VALUE.`)
  return [...earlier, { key: text.slice(0, at), value: text.slice(at + 1) }]
}

/** One of several words, whatever its case; the words may be written with `-` for `_`. */
export function oneOf<T extends string>(choices: readonly T[]): (text: string) => T {
  const plain = (text: string) => text.toUpperCase().replaceAll('-', '_')
  return (text) => {
    const found = choices.find((choice) => plain(choice) === plain(text))
    if (found === undefined) throw new InvalidArgumentError(`${text} is none of ${choices.join(', ')}.`)
    return found
  }
}

/** The same of a list: `kvscope,transformers-js`, each once. */
export function listOf<T extends string>(choices: readonly T[]): (text: string) => T[] {
  const one = oneOf(choices)
  return (text) => [...new Set(text.split(',').map((part) => one(part.trim())))]
}

/** A percentage as a share: `2`, `0.5` or `2%`. */
export function percentage(least: number, most: number): (text: string) => number {
  return (text) => {
    const [, digits] = /^(\d+(?:\.\d+)?)\s*%?$/.exec(text.trim()) ?? []
    const value = Number(digits)
    if (digits === undefined || value < least || value > most)
      throw new InvalidArgumentError(`${text} is not a percentage from ${least} to ${most}.`)
    return value / 100
  }
}

/** `--margin`: typed and shown as a percentage, handed on as a share. */
export function marginOption(): Option {
  const option = new Option('--margin <PERCENT>', 'largest difference that counts as none')
  return option.argParser(percentage(0, 99)).default(defaultMargin, `${defaultMargin * 100}`)
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
