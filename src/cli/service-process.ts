import { type ChildProcess, spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { serviceEnvironment } from '../config.ts'
import { AppError, type ErrorRecord } from '../errors.ts'
import { compiledFile } from '../package-folder.ts'

/** What a supervised process tells its supervisor: once, when it serves or has failed to. */
export type ServiceMessage = { type: 'ready' } | { type: 'failed'; error: ErrorRecord }

export interface ServiceOptions {
  /** how messages name it */
  name: string
  /** arguments of this very program, such as ['worker'] */
  args: readonly string[]
  environment: () => Record<string, string>
  /** where its output goes: our stderr, or an open file */
  output: 'inherit' | number
  /** a line for people: that it died, that it is back */
  onNotice(text: string): void
}

/** A process that is started again whenever it ends by itself. */
export interface ServiceProcess {
  readonly pid: number | undefined
  /** Ends the process, so that it comes back with a fresh environment. */
  replace(): void
  /** SIGTERM, and SIGKILL when it is still there after `graceMs`. */
  stop(graceMs: number): Promise<void>
}

const main = compiledFile('src/cli/main.ts')
const firstWaitMs = 100
const readyMs = 60_000
const longestWaitMs = 5_000
/** A process that lived so long died of something new, and is started again at once. */
const settledMs = 10_000

/**
 * Starts one of kvscope's own processes and keeps it running. It is the leader of its own process group, so that Ctrl-C
 * on the terminal reaches the supervisor alone, and its channel to us closes when we die, upon which it ends itself.
 * @throws AppError as the process reports it, when the first start fails
 */
export async function startService(options: ServiceOptions, signal: AbortSignal): Promise<ServiceProcess> {
  let child: ChildProcess | null = null
  let exited: Promise<void> = Promise.resolve()
  let stopping = false
  const halt = new AbortController()

  const launch = (): Promise<void> => {
    const started = spawn(process.execPath, [main, ...options.args], {
      detached: true,
      stdio: ['ignore', options.output, options.output, 'ipc'],
      env: serviceEnvironment(options.environment()),
    })
    child = started
    exited = new Promise((resolve) => {
      started.once('exit', () => resolve())
      started.once('error', () => resolve())
    })
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => {
        reject(
          new AppError(
            'TIMED_OUT',
            `The ${options.name} process was not ready within ${readyMs / 1000} s`,
            'Its log says why.',
          ),
        )
      }, readyMs)
      started.once('exit', () => clearTimeout(late))
      started.on('message', (message: ServiceMessage) => {
        clearTimeout(late)
        if (message.type === 'ready') resolve()
        else reject(new AppError(message.error.code, message.error.message, message.error.hint))
      })
      started.once('error', reject)
      started.once('exit', (code, signalName) => {
        const how = signalName === null ? `with code ${code}` : `by ${signalName}`
        reject(
          new AppError('INTERNAL', `The ${options.name} process ended ${how} before it was ready`, 'Its log says why.'),
        )
      })
    })
  }

  const keepAlive = async () => {
    for (let wait = firstWaitMs; ; wait = Math.min(2 * wait, longestWaitMs)) {
      const since = Date.now()
      await exited
      if (stopping) return
      if (Date.now() - since > settledMs) wait = firstWaitMs
      options.onNotice(`The ${options.name} process ended; starting it again.`)
      await sleep(wait, undefined, { signal: halt.signal })
      launch().then(
        () => options.onNotice(`The ${options.name} process is back.`),
        (error: unknown) => {
          if (!stopping) options.onNotice(`The ${options.name} process did not start: ${String(error)}`)
        },
      )
    }
  }

  const stop = async (graceMs: number) => {
    stopping = true
    halt.abort()
    child?.kill('SIGTERM')
    const late = setTimeout(() => child?.kill('SIGKILL'), graceMs)
    await exited
    clearTimeout(late)
  }

  try {
    await orAborted(launch(), signal)
  } catch (error) {
    await stop(2_000)
    throw error
  }
  keepAlive().catch(() => undefined)
  return {
    get pid() {
      return child?.pid
    },
    replace: () => void child?.kill('SIGTERM'),
    stop,
  }
}

/** Settles as `work` does, or rejects as soon as the signal aborts. */
async function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted()
  let stopListening = () => {}
  const aborted = new Promise<never>((_, reject) => {
    const onAbort = () => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    stopListening = () => signal.removeEventListener('abort', onAbort)
  })
  try {
    return await Promise.race([work, aborted])
  } finally {
    stopListening()
    work.catch(() => undefined)
  }
}
