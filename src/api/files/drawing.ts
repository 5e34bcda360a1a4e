import { Worker } from 'node:worker_threads'
import { AppError } from '../../errors.ts'
import { compiledFile } from '../../package-folder.ts'
import type { DrawingAnswer, DrawingRequest } from './drawing-thread.ts'
import type { Picture } from './picture.ts'

/** Draws pictures in a thread of its own: one takes up to 0.3 s, in which this process would answer nobody. */
export interface Drawing {
  /**
   * @param isWanted whether somebody still waits for the picture, asked when its turn comes
   * @throws AppError LIMIT_EXCEEDED where the picture is too large, or too many wait for theirs; CONFLICT where nobody
   * waits any more
   */
  draw(request: DrawingRequest, isWanted?: () => boolean): Promise<Uint8Array>
  close(): Promise<void>
}

/** Pictures that wait hold their numbers in memory: a few MB each, and 32 MB where two slices of the largest are compared. */
const mostWaiting = { pictures: 32, bytes: 256 * 2 ** 20 } as const

interface Waiting {
  request: DrawingRequest
  bytes: number
  isWanted(): boolean
  resolve(drawn: Uint8Array): void
  reject(error: unknown): void
}

/** The thread starts with the first picture, and again after one that ended it. */
export function startDrawing(): Drawing {
  const queue: Waiting[] = []
  let waitingBytes = 0
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
    current = takeWanted()
    if (current === null) return
    thread ??= startThread()
    thread.postMessage(current.request)
  }
  /** Whoever scrolls past pictures leaves many behind: they must not keep others waiting. */
  const takeWanted = (): Waiting | null => {
    for (;;) {
      const waiting = queue.shift()
      if (waiting === undefined) return null
      waitingBytes -= waiting.bytes
      if (waiting.isWanted()) return waiting
      waiting.reject(new AppError('CONFLICT', 'nobody waits for the picture any more'))
    }
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
    async draw(request, isWanted = () => true) {
      if (closed) throw new Error('the server is closing')
      const bytes = bytesOf(request.picture)
      const isFull = queue.length >= mostWaiting.pictures || waitingBytes + bytes > mostWaiting.bytes
      if (isFull && queue.length > 0) throw tooManyWaiting(queue.length)
      return new Promise((resolve, reject) => {
        waitingBytes += bytes
        queue.push({ request, bytes, isWanted, resolve, reject })
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

/** Bytes of the numbers that a picture is drawn from: what several heads share counts once. */
export function bytesOf(drawn: Picture): number {
  const values = new Set(valuesOf(drawn))
  return [...values].reduce((sum, one) => sum + (ArrayBuffer.isView(one) ? one.byteLength : 8 * one.length), 0)
}

function valuesOf(drawn: Picture): readonly ArrayLike<unknown>[] {
  switch (drawn.of) {
    case 'head':
      return [drawn.picture.matrix.values]
    case 'heads':
      return drawn.picture.heads.map(({ values }) => values)
    case 'distances':
      return drawn.picture.values
    case 'difference':
      return [drawn.picture.baseline.matrix.values, drawn.picture.candidate.matrix.values]
    case 'lines':
      return drawn.picture.lines.flatMap(({ points }) => points.map(({ samples }) => samples))
    case 'trend':
      return [drawn.picture.points]
  }
}

function errorOf(answer: Exclude<DrawingAnswer, { drawn: Uint8Array }>): unknown {
  if ('unknown' in answer) return answer.unknown
  const { code, message, hint } = answer.known
  return new AppError(code, message, hint)
}

function tooManyWaiting(count: number): AppError {
  return new AppError(
    'LIMIT_EXCEEDED',
    `${count} pictures wait to be drawn already`,
    'Ask again in a moment, and for fewer at once.',
  )
}
