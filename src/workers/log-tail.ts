import type { Readable } from 'node:stream'

/** The most that is kept of what a child printed, in bytes. */
const keptBytes = 8192

/** The last lines of what a child printed. */
export interface LogTail {
  add(text: string | Buffer): void
  /** At most 8 KiB of UTF-8, starting at a line's beginning where more was printed; null when nothing was. */
  text(): string | null
}

/** Keeps the end of all streams together, in the order in which it arrived. */
export function keepTail(streams: readonly (Readable | null)[]): LogTail {
  let tail = Buffer.alloc(0)
  let cut = false
  const add = (text: string | Buffer) => {
    const whole = Buffer.concat([tail, Buffer.from(text)])
    cut ||= whole.length > keptBytes
    tail = whole.subarray(-keptBytes)
  }
  for (const stream of streams) stream?.on('data', add)
  return {
    add,
    text() {
      const text = tail.toString('utf8')
      const shown = cut ? text.slice(text.indexOf('\n') + 1) : text
      return shown.trim() === '' ? null : shown.trimEnd()
    },
  }
}
