import { fork } from 'node:child_process'
import { readChildEnvironment } from '../config.ts'
import { compiledFile } from '../package-folder.ts'
import { keepTail } from './log-tail.ts'
import type { ChildMessage, NumberedMessage, ParentMessage, StartMessage } from './messages.ts'

const entry = compiledFile('src/workers/child.ts')

export interface ChildEnd {
  /** exit code; null when a signal ended it */
  code: number | null
  signal: NodeJS.Signals | null
}

/** The process of one execution, seen from its parent. */
export interface Child {
  readonly pid: number | undefined
  /** Resolves when the process has ended and every message that it sent has been handed over. */
  readonly ended: Promise<ChildEnd>
  /** The last lines that it printed; null when it printed none. */
  log(): string | null
  /** Ends it with SIGKILL, which also ends a native call. */
  kill(): void
}

/**
 * Starts the child of one execution. Its environment holds no secret, and what it prints is kept, not shown.
 * @param onMessage called for each message in the order sent; the child waits until the message is acknowledged
 * @param execArgv flags of V8 and Node, e.g. to bound the heap
 */
export function startChild(
  start: StartMessage,
  onMessage: (message: ChildMessage, acknowledge: () => void) => void,
  execArgv: readonly string[] = [],
): Child {
  const child = fork(entry, [String(process.pid)], {
    execArgv: [...execArgv],
    env: readChildEnvironment(),
    serialization: 'advanced',
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  const tail = keepTail([child.stdout, child.stderr])
  const ended = new Promise<ChildEnd>((resolve) => {
    let end: ChildEnd | null = null
    const settle = () => {
      if (end !== null && !child.connected) resolve(end)
    }
    // 'close' comes after the last byte of both streams, 'disconnect' after the last message.
    child.once('close', (code, signal) => {
      end = { code, signal }
      settle()
    })
    child.once('disconnect', settle)
    child.once('error', (error) => {
      if (child.pid === undefined) resolve({ code: null, signal: null })
      else tail.add(`${error.message}\n`)
    })
  })
  const send = (message: ParentMessage) =>
    child.send(message, (error) => {
      // The child is gone already; `ended` says how.
      if (error !== null) tail.add(`${error.message}\n`)
    })
  child.on('message', ({ number, message }: NumberedMessage) =>
    onMessage(message, () => void send({ type: 'ack', number })),
  )
  send(start)
  return { pid: child.pid, ended, log: () => tail.text(), kill: () => void child.kill('SIGKILL') }
}
