import { setTimeout as delay } from 'node:timers/promises'

export interface Patience {
  /** how long to go on trying */
  forMs: number
  /** between two tries */
  everyMs: number
  /** whether the error can pass by itself; others are thrown at once */
  mayPass: (error: unknown) => boolean
  /** aborted: no further try */
  signal?: AbortSignal
}

/** Tries until it works: what fails because a server is restarting works again a moment later. */
export async function tryPatiently<T>(
  work: () => Promise<T>,
  { forMs, everyMs, mayPass, signal }: Patience,
): Promise<T> {
  const until = performance.now() + forMs
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (!mayPass(error) || performance.now() + everyMs > until || signal?.aborted === true) throw error
    }
    // An abort ends the pause; the next try then is the last.
    await delay(everyMs, undefined, { signal }).catch(() => undefined)
  }
}
