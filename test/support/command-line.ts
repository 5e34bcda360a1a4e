import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { compiledFile } from '../../src/package-folder.ts'

const main = compiledFile('src/cli/main.ts')

export interface CommandResult {
  /** exit code; null when a signal ended it */
  code: number | null
  stdout: string
  stderr: string
}

export interface RunningCommand {
  process: ChildProcess
  /** what it has printed until now */
  stdout(): string
  stderr(): string
  ended: Promise<CommandResult>
}

/** Starts `kvscope` as a user does, with a data folder of its own. */
export function startCommand(
  args: readonly string[],
  dataDir: string,
  environment: Record<string, string> = {},
): RunningCommand {
  const child = spawn(process.execPath, [main, ...args], {
    env: { ...process.env, KVSCOPE_DATA_DIR: dataDir, KVSCOPE_LOG_LEVEL: 'warn', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk) => {
    stdout += chunk
  })
  child.stderr.on('data', (chunk) => {
    stderr += chunk
  })
  const ended = once(child, 'close').then(([code]) => ({ code, stdout, stderr }))
  return { process: child, stdout: () => stdout, stderr: () => stderr, ended }
}

/** Runs `kvscope` to its end. */
export function runCommand(
  args: readonly string[],
  dataDir: string,
  environment: Record<string, string> = {},
): Promise<CommandResult> {
  return startCommand(args, dataDir, environment).ended
}

export interface FoundProcess {
  pid: number
  command: string
}

/** Processes that work for a data folder: those that were told of it, and its PostgreSQL. Linux only. */
export function processesOf(dataDir: string): FoundProcess[] {
  return readdirSync('/proc').flatMap((name) => {
    const pid = Number(name)
    if (!pid || pid === process.pid) return []
    try {
      // A zombie has no executable any more.
      readlinkSync(`/proc/${pid}/exe`)
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
      const environment = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0')
      const ours = command.includes(`-D ${dataDir}/`) || environment.includes(`KVSCOPE_DATA_DIR=${dataDir}`)
      return ours ? [{ pid, command }] : []
    } catch {
      return []
    }
  })
}
