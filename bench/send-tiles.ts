import type { AttentionTileRow } from '../src/heads/rows.ts'
import { causalTiles, levelCount, tileSide } from '../src/render/attention-tiles.ts'
import type { NumberedMessage, ParentMessage } from '../src/workers/messages.ts'
import { batchTiles } from '../src/workers/row-batches.ts'

// The child of `bench:heads` that sends what a run over 512 tokens stores, as fast as its parent takes it: the same rows,
// batches and channel as a run's, with the values made beforehand.

const [layers = 24, heads = 16, size = 512] = process.argv.slice(2).map(Number)
const bytesPerValue = 2

const unanswered = new Map<number, () => void>()
let sent = 0
process.on('message', (message: ParentMessage) => {
  if (message.type !== 'ack') return
  unanswered.get(message.number)?.()
  unanswered.delete(message.number)
})

const tiles = batchTiles({
  heads: (batch) =>
    new Promise((resolve) => {
      sent += 1
      unanswered.set(sent, resolve)
      const numbered: NumberedMessage = { number: sent, message: { type: 'heads', batch } }
      process.send?.(numbered)
    }),
})

/** Halves of 0 to 1 without a pattern: nothing on the way may gain by compressing them. */
const noise = new Uint8Array(tileSide * tileSide * bytesPerValue)
let state = 1
for (let place = 0; place < noise.length; place += bytesPerValue) {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
  noise[place] = state >>> 24
  noise[place + 1] = (state >>> 16) % 0x3c
}

function* rowsOf(layer: number, head: number): Generator<AttentionTileRow> {
  for (let level = 0; level < levelCount(size); level += 1) {
    for (const statistic of level === 0 ? (['MEAN'] as const) : (['MEAN', 'MAXIMUM'] as const)) {
      for (const place of causalTiles(size, level)) {
        const data = noise.slice(0, place.rows * place.columns * bytesPerValue)
        yield { prompt: 0, layer, head, level, statistic, ...place, data }
      }
    }
  }
}

for (let layer = 0; layer < layers; layer += 1) {
  for (let head = 0; head < heads; head += 1) for (const row of rowsOf(layer, head)) tiles.add(row)
  await tiles.send()
}
await tiles.finish()
process.disconnect()
