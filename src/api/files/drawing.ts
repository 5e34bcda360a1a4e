import { Worker } from 'node:worker_threads'
import { AppError } from '../../errors.ts'
import { compiledFile } from '../../package-folder.ts'
import type { DrawingAnswer, DrawingRequest } from './drawing-thread.ts'

/** Draws pictures in a thread of its own: one takes up to 0.3 s, in which this process would answer nobody. */
export interface Drawing {
  /** @throws AppError LIMIT_EXCEEDED where the picture is too large, or too many wait for theirs */
  draw(request: DrawingRequest): Promise<Uint8Array>
  close(): Promise<void>
}

/** Pictures that wait hold their numbers in memory: a few MB each. */
const mostWaiting = 32

interface Waiting {
  request: DrawingRequest
  resolve(drawn: Uint8Array): void
  reject(error: unknown): void
}

/** The thread starts with the first picture, and again after one that ended it. */
export function startDrawing(): Drawing {
  const queue: Waiting[] = []
  let current: Waiting | null = null
  let thread: Worker | null = null
  let closed = false

  const settle = (settleOne: (waiting: Waiting) => void) => {
    const settled = current
    current = null
    if (settled !== null) settleOne(settled)
    next()
  }
  const next = () => {
    if (current !== null || closed) return
    current = queue.shift() ?? null
    if (current === null) return
    thread ??= startThread()
    thread.postMessage(current.request)
  }
  const startThread = () => {
    const started = new Worker(compiledFile('src/api/files/drawing-thread.ts'))
    started.unref()
    started.on('message', (answer: DrawingAnswer) =>
      settle(({ resolve, reject }) => ('drawn' in answer ? resolve(answer.drawn) : reject(errorOf(answer)))),
    )
    const ended = (error: unknown) => {
      if (thread !== started) return
      thread = null
      settle(({ reject }) => reject(error))
    }
    started.once('error', ended)
    started.once('exit', (code) => ended(new Error(`the thread that draws ended with ${code}`)))
    return started
  }

  return {
    async draw(request) {
      if (closed) throw new Error('the server is closing')
      if (queue.length >= mostWaiting) throw tooManyWaiting()
      return new Promise((resolve, reject) => {
        queue.push({ request, resolve, reject })
        next()
      })
    },
    async close() {
      closed = true
      const error = new Error('the server is closing')
      for (const { reject } of queue.splice(0)) reject(error)
      await thread?.terminate()
    },
  }
}

function errorOf(answer: Exclude<DrawingAnswer, { drawn: Uint8Array }>): unknown {
  if ('unknown' in answer) return answer.unknown
  const { code, message, hint } = answer.known
  return new AppError(code, message, hint)
}

function tooManyWaiting(): AppError {
  return new AppError(
    'LIMIT_EXCEEDED',
    `${mostWaiting} pictures wait to be drawn already`,
    'Ask again in a moment, and for fewer at once.',
  )
}
