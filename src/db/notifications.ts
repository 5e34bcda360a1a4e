import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'

export interface RunNotifications {
  /**
   * Calls back when something of the run may have changed: an event, its end, its deletion, or a connection that was
   * away meanwhile. Only a wake-up, the table is the truth; readers look by themselves each second as well.
   * @returns how to stop
   */
  onRun(runId: string, callback: () => void): () => void
  close(): Promise<void>
}

/** The channel on which whoever enqueues a message names its queue. */
export const queueChannel = 'kvscope_queue'

const reconnectMs = { first: 50, most: 2_000 }

/**
 * Listens to all runs on one connection, and connects again whenever it breaks.
 * @param onMessage for a worker: called with the name of a queue that a message was put into, and with null where some
 *   may have been missed
 * @throws what the first connection meets
 */
export async function listenToRuns(url: string, onMessage?: (queue: string | null) => void): Promise<RunNotifications> {
  const callbacks = new Map<string, Set<() => void>>()
  const closing = new AbortController()
  let client = await connect()
  let reconnecting: Promise<void> | null = null

  async function connect(): Promise<pg.Client> {
    const fresh = new pg.Client({
      connectionString: url,
      application_name: 'kvscope notifications',
      connectionTimeoutMillis: 10_000,
      keepAlive: true,
    })
    fresh.on('notification', ({ channel, payload }) => {
      if (channel === queueChannel) return onMessage?.(payload ?? null)
      for (const callback of callbacks.get(payload ?? '') ?? []) callback()
    })
    fresh.on('error', () => undefined)
    try {
      await fresh.connect()
      await fresh.query('LISTEN kvscope_run')
      if (onMessage !== undefined) await fresh.query(`LISTEN ${queueChannel}`)
    } catch (error) {
      await fresh.end().catch(() => undefined)
      throw error
    }
    fresh.once('end', () => {
      if (!closing.signal.aborted) reconnecting ??= reconnect()
    })
    return fresh
  }

  async function reconnect(): Promise<void> {
    for (let wait = reconnectMs.first; !closing.signal.aborted; wait = Math.min(wait * 2, reconnectMs.most)) {
      try {
        client = await connect()
        reconnecting = null
        // Whatever happened meanwhile was not heard.
        for (const set of callbacks.values()) for (const callback of set) callback()
        onMessage?.(null)
        return
      } catch {
        await sleep(wait, undefined, { signal: closing.signal }).catch(() => undefined)
      }
    }
  }

  return {
    onRun(runId, callback) {
      // A callback of its own, so that the same function may be given twice.
      const call = () => callback()
      const set = callbacks.get(runId) ?? new Set()
      callbacks.set(runId, set.add(call))
      return () => {
        set.delete(call)
        if (set.size === 0 && callbacks.get(runId) === set) callbacks.delete(runId)
      }
    },
    async close() {
      closing.abort()
      callbacks.clear()
      await reconnecting
      await client.end().catch(() => undefined)
    },
  }
}
