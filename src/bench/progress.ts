import { now } from './clock.ts'
import type { BenchSink } from './result.ts'

/** Resolves when the message has arrived where it is kept, or was dropped. */
export type Report = (fraction: number, message: string) => Promise<void>

export interface Progress {
  /** Reports of a part of the work, whose own 0 to 1 becomes `from` to `to` of the whole. */
  share(from: number, to: number): Report
  finish(message: string): Promise<void>
}

/** Milliseconds between two messages, at least: each becomes a row that somebody stores. */
const pause = 250

/**
 * Progress whose fraction never falls. Messages that follow one another within a quarter of a second are dropped, but
 * for the first of each part and the last of all.
 */
export function progressOf(sink: Pick<BenchSink, 'progress'>, clock: () => number = now): Progress {
  let highest = 0
  let last = Number.NEGATIVE_INFINITY
  const send = async (fraction: number, message: string) => {
    highest = Math.max(highest, Math.min(1, fraction))
    last = clock()
    await sink.progress(highest, message)
  }
  return {
    share(from, to) {
      let begun = false
      return async (fraction, message) => {
        if (begun && clock() - last < pause) return
        begun = true
        await send(from + (to - from) * fraction, message)
      }
    },
    finish: (message) => send(1, message),
  }
}
