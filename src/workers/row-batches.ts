import type { AttentionTileRow } from '../heads/rows.ts'
import type { ChildSink } from './messages.ts'

/** Bytes of tiles in one message, and rows where tiles are small. */
const batchBytes = 4e6
const batchRows = 1000
/** Messages on their way: one is stored while the next one is copied over. */
const mostUnanswered = 2

export interface TileBatches {
  add(tile: AttentionTileRow): void
  /** Sends what makes full batches, and waits until few enough are on their way. */
  send(): Promise<void>
  /** Sends everything and waits until it is stored. */
  finish(): Promise<void>
}

/**
 * Gathers tiles to batches of some megabytes, which the parent stores in the order sent. Whoever adds must send now and
 * then: that is what bounds the memory.
 */
export function batchTiles(sink: Pick<ChildSink, 'heads'>): TileBatches {
  const full: AttentionTileRow[][] = []
  let rows: AttentionTileRow[] = []
  let bytes = 0
  let unanswered: Promise<void>[] = []

  function seal(): void {
    if (rows.length > 0) full.push(rows)
    rows = []
    bytes = 0
  }
  async function atMost(count: number): Promise<void> {
    while (unanswered.length > count) {
      await unanswered[0]
      unanswered = unanswered.slice(1)
    }
  }
  async function send(): Promise<void> {
    for (let batch = full.shift(); batch !== undefined; batch = full.shift()) {
      await atMost(mostUnanswered - 1)
      unanswered.push(sink.heads({ of: 'attentionTiles', rows: batch }))
    }
  }

  return {
    add(tile) {
      rows.push(tile)
      bytes += tile.data.byteLength
      if (bytes >= batchBytes || rows.length >= batchRows) seal()
    },
    send,
    async finish() {
      seal()
      await send()
      await atMost(0)
    },
  }
}
