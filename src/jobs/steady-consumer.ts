import { setTimeout as delay } from 'node:timers/promises'
import type { QueueConsumer } from './queues.ts'

/** A message that waits for so long while a consumer is idle was not heard. */
const unheardMs = 1000

export interface SteadyConsumerOptions {
  /** Opens a consumer that hands runs to `handle`. */
  open(handle: (runId: string) => Promise<void>): QueueConsumer
  handle(runId: string): Promise<void>
  /** How many messages wait. */
  waiting(): Promise<number>
  /** How often to look. */
  everyMs: number
  /** Told when a consumer was replaced. */
  onRenewed(): void
}

/**
 * A consumer that is replaced when it sits idle while messages wait. On PostgreSQL BullMQ looks for messages once and
 * then listens for up to an hour; should that look fail, as in the moment of a restart, it would not hear of what came
 * before.
 */
export function consumeSteadily({ open, handle, waiting, everyMs, onRenewed }: SteadyConsumerOptions): QueueConsumer {
  let atWork = 0
  let taken = 0
  let closed = false
  const tracked = async (runId: string) => {
    atWork++
    taken++
    try {
      await handle(runId)
    } finally {
      atWork--
    }
  }
  let consumer = open(tracked)

  const isDeaf = async () => {
    const before = taken
    if (atWork > 0 || (await waiting()) === 0) return false
    await delay(unheardMs)
    return !closed && atWork === 0 && taken === before && (await waiting()) > 0
  }
  const look = async () => {
    if (!(await isDeaf())) return
    const deaf = consumer
    consumer = open(tracked)
    onRenewed()
    // It may hang on the connection that it no longer hears.
    void deaf.close().catch(() => undefined)
  }
  let looking: Promise<void> | null = null
  const timer = setInterval(() => {
    // A queue that cannot be asked has told its own onError.
    looking ??= look()
      .catch(() => undefined)
      .finally(() => {
        looking = null
      })
  }, everyMs)
  return {
    ready: () => consumer.ready(),
    async close() {
      closed = true
      clearInterval(timer)
      await looking
      await consumer.close()
    },
  }
}
