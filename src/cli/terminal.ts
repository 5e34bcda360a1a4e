import { access, constants, open, realpath, rm, stat, writeFile } from 'node:fs/promises'
import type { Config } from '../config.ts'
import { AppError } from '../errors.ts'
import { progressLine } from '../render/progress.ts'
import { createStyle, type Style } from '../render/style.ts'
import { type ColourDepth, colourDepth } from '../render/terminal-colour.ts'

/** What results are laid out for. */
export interface Screen {
  /** Style of what is printed: escape sequences only where stdout is a terminal and NO_COLOR is unset. */
  readonly style: Style
  /** What pictures are painted with, by the same rule. */
  readonly colours: ColourDepth
  /** Columns of the screen; 80 in a pipe. */
  readonly width: number
}

/** Where a command's words go: results to stdout, everything on the way there to stderr. */
export interface Terminal extends Screen {
  /** Whether somebody sits before it who can be asked. */
  readonly interactive: boolean
  /** A line of result, to stdout. */
  print(text?: string): void
  /** Text without a line's end, to stdout: for streaming. */
  write(text: string): void
  /** A line on the way, to stderr; moves a progress bar out of the way. Nothing where the user wants quiet. */
  note(text: string): void
  /** The same for what a reader of the result must know: said whatever the user wants. */
  warn(text: string): void
  /** A bar redrawn in place on a terminal; in a pipe a line for each new message. */
  progress(fraction: number, message: string): void
  /** Takes the bar away. */
  endProgress(): void
  /** From now on neither progress nor notes: `--quiet`. */
  beQuiet(): void
}

export interface TerminalStreams {
  stdout: { isTTY?: boolean; columns?: number; write(text: string): unknown }
  stderr: { isTTY?: boolean; columns?: number; write(text: string): unknown }
  stdin: { isTTY?: boolean }
}

/** A Terminal over the process's streams. `colour` is the user's wish; a stream that is no terminal gets none anyway. */
export function createTerminal(
  streams: TerminalStreams,
  { colour, colorterm }: Pick<Config, 'colour' | 'colorterm'>,
  clock: () => number,
): Terminal {
  const { stdout, stderr } = streams
  const barStyle = createStyle(colour && stderr.isTTY === true)
  const start = clock()
  const recent = recentRate()
  let barShown = false
  let lastMessage = ''
  let quiet = false

  const clearBar = () => {
    if (barShown) stderr.write('\r\u001b[2K')
    barShown = false
  }
  return {
    style: createStyle(colour && stdout.isTTY === true),
    colours: colourDepth(colour && stdout.isTTY === true, colorterm ?? undefined),
    width: Math.max(40, stdout.columns ?? 80),
    interactive: streams.stdin.isTTY === true && stderr.isTTY === true,
    print(text = '') {
      clearBar()
      stdout.write(`${text}\n`)
    },
    write(text) {
      clearBar()
      stdout.write(text)
    },
    note(text) {
      if (quiet) return
      clearBar()
      stderr.write(`${text}\n`)
    },
    warn(text) {
      clearBar()
      stderr.write(`${text}\n`)
    },
    progress(fraction, message) {
      if (quiet) return
      if (stderr.isTTY === true) {
        const width = Math.max(40, stderr.columns ?? 80) - 1
        const elapsedMs = clock() - start
        const state = { fraction, message, elapsedMs, perSecond: recent(fraction, elapsedMs) }
        const line = progressLine(state, width, barStyle.accent)
        stderr.write(`\r\u001b[2K${line}`)
        barShown = true
      } else if (step(message) !== step(lastMessage)) {
        stderr.write(`${`${Math.floor(fraction * 100)}`.padStart(3)} %  ${message}\n`)
      }
      lastMessage = message
    },
    endProgress: clearBar,
    beQuiet() {
      quiet = true
    },
  }
}

/** Time over which progress is looked back at: a run's parts go at different rates. */
const lookBackMs = 20_000

/** Share of the work done in a second of late; undefined until a second has shown some. */
function recentRate(): (fraction: number, atMs: number) => number | undefined {
  const seen: { fraction: number; atMs: number }[] = []
  return (fraction, atMs) => {
    const last = seen.at(-1)
    // Work of another kind begins at its own beginning.
    if (last !== undefined && fraction < last.fraction) seen.length = 0
    seen.push({ fraction, atMs })
    while (seen.length > 2 && (seen[1]?.atMs ?? atMs) < atMs - lookBackMs) seen.shift()
    const [first] = seen
    if (first === undefined || atMs - first.atMs < 1000 || fraction <= first.fraction) return undefined
    return (fraction - first.fraction) / ((atMs - first.atMs) / 1000)
  }
}

/** A pipe gets one line a step of the work, not one a block of it. */
function step(message: string): string {
  return message.replace(/block \d+.*|[\d.]+ %/g, '')
}

/** A reader that went away, such as `head`, is no fault: what is printed then goes nowhere. */
export function ignoreBrokenPipe(stream: NodeJS.WriteStream): void {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
  })
}

/** What `--json [FILE]` holds: undefined without it, true for stdout, else the file. */
export type JsonOption = string | true | undefined

/**
 * Sees that the file of `--json` can be written, before a command works for what is to be written there. Leaves no file.
 * @throws AppError VALIDATION_FAILED naming the file
 */
export async function checkJsonFile(json: JsonOption): Promise<void> {
  if (typeof json !== 'string') return
  try {
    const found = await stat(json).catch(() => null)
    // Opening a pipe would wait for its reader, and closing it would tell the reader that all had come.
    if (found !== null && !found.isFile() && !found.isDirectory()) return await access(json, constants.W_OK)
    const file = await open(json, 'a')
    await file.close()
    if (found === null) await rm(await realpath(json))
  } catch (error) {
    throw unwritable(json, error)
  }
}

function unwritable(file: string, cause: unknown): AppError {
  const why = cause instanceof Error ? cause.message : String(cause)
  return new AppError(
    'VALIDATION_FAILED',
    `The file of --json, ${file}, cannot be written: ${why}`,
    'Name a file that you may write, in a folder that is there.',
    cause,
  )
}

/**
 * Writes a value where `--json` asks for it; without the option nothing.
 * @throws AppError VALIDATION_FAILED naming the file
 */
export async function writeJson(terminal: Terminal, json: JsonOption, value: unknown): Promise<void> {
  if (json === undefined) return
  const document = `${JSON.stringify(value, null, 2)}\n`
  if (json === true) return terminal.write(document)
  await writeFile(json, document).catch((error: unknown) => {
    throw unwritable(json, error)
  })
}

/**
 * Hands over a command's result. Without `--json` the text is printed; with a file the text is printed and then the JSON
 * goes there, so that a disk that is full takes nothing away; with `--json` alone only the JSON is, so that a pipe reads
 * nothing else.
 */
export async function deliver(terminal: Terminal, json: JsonOption, value: unknown, text: string): Promise<void> {
  if (json !== true) terminal.print(text)
  await writeJson(terminal, json, value)
}
