import { setTimeout as delay } from 'node:timers/promises'
import type { QueueReader } from '../jobs/queues.ts'
import type { MachineTurn } from './machine-turn.ts'

/** After an error the queues are looked at again this soon: a server that restarts is back in a moment. */
const retryMs = 1000

export interface TakeMessagesOptions {
  reader: Pick<QueueReader, 'anyWaiting' | 'take'>
  /** Waits for the machine; null when the worker takes nothing more. */
  waitForTurn(): Promise<MachineTurn | null>
  /** Works on a run; whatever it throws is told and the message is gone, for the sweeper finds a run that still waits. */
  handle(runId: string): Promise<void>
  /** How often to look without having been woken. */
  everyMs: number
  onError(error: unknown): void
}

export interface MessageTaking {
  /** Looks at once: a message may wait. */
  wake(): void
  /** Takes nothing more, and waits for the message in work; `waitForTurn` must give up by itself. */
  stop(): Promise<void>
}

/**
 * Takes the messages of all queues of a worker, one at a time. It looks whether one waits, then waits for the machine,
 * and takes a message only when it has the machine: so a worker that is busy, or waits for another one of its machine,
 * holds no message that an idle worker elsewhere could take, and of what waits for the machine the next in turn is
 * chosen at the moment when it is free. Placed and common runs cannot starve each other, as the reader's queues take
 * turns; nor can the workers of a machine, as each asks for the machine anew after every message.
 */
export function takeMessages({ reader, waitForTurn, handle, everyMs, onError }: TakeMessagesOptions): MessageTaking {
  const stopped = new AbortController()
  let woken = false
  let looking = false
  let endPause = () => {}

  const pause = async (ms: number) => {
    if (woken || stopped.signal.aborted) return
    const pausing = new AbortController()
    endPause = () => pausing.abort()
    await delay(ms, undefined, { signal: pausing.signal }).catch(() => undefined)
  }

  /** @returns whether there was one */
  const takeOne = async (): Promise<boolean> => {
    looking = true
    const waits = await reader.anyWaiting().finally(() => {
      looking = false
    })
    if (!waits || stopped.signal.aborted) return false
    const turn = await waitForTurn()
    if (turn === null) return false
    try {
      const message = stopped.signal.aborted ? null : await reader.take()
      if (message === null) return false
      await handle(message.runId).catch(onError)
      await message.done()
      return true
    } finally {
      await turn.end()
    }
  }

  const takeAll = async () => {
    while (!stopped.signal.aborted) {
      woken = false
      try {
        if (!(await takeOne())) await pause(everyMs)
      } catch (error) {
        onError(error)
        woken = false
        await pause(retryMs)
      }
    }
  }
  const taking = takeAll()
  return {
    wake() {
      woken = true
      endPause()
    },
    async stop() {
      stopped.abort()
      endPause()
      // A store that is gone answers when it is back; nothing is in hand meanwhile.
      if (!looking) await taking
    },
  }
}
