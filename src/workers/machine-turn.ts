import { lockMachine, type MachineLock } from '../db/machine-lock.ts'
import { tryPatiently } from './patience.ts'

/** How often a holder looks whether its lock still stands, and tries to have a lost one back. */
const holdEveryMs = 250
/** A waiting worker leaves a holder whose connection broke that much time to have its lock back. */
const waitAgainMs = 1500

/** This machine's turn to execute something. */
export interface MachineTurn {
  end(): Promise<void>
}

/**
 * Waits until no other worker of this machine executes anything, for as long as it takes. The lock lives in a
 * connection; when PostgreSQL restarts, the holder takes it again before those who wait try.
 * @returns null when `signal` was aborted while waiting
 */
export async function waitForTurn(
  databaseUrl: string,
  machineId: string,
  signal: AbortSignal,
): Promise<MachineTurn | null> {
  const ended = new AbortController()
  const patience = { forMs: Number.POSITIVE_INFINITY, mayPass: () => true }
  let lock: MachineLock
  try {
    const wait = () => lockMachine(databaseUrl, machineId, { signal })
    lock = await tryPatiently(wait, { ...patience, everyMs: waitAgainMs, signal })
  } catch (error) {
    if (signal.aborted) return null
    throw error
  }

  let again: Promise<void> | null = null
  const lockAgain = async () => {
    const wait = () => lockMachine(databaseUrl, machineId, { signal: ended.signal })
    lock = await tryPatiently(wait, { ...patience, everyMs: holdEveryMs, signal: ended.signal })
  }
  const timer = setInterval(() => {
    if (lock.isHeld()) return
    again ??= lockAgain()
      .catch(() => undefined)
      .finally(() => {
        again = null
      })
  }, holdEveryMs)
  return {
    async end() {
      clearInterval(timer)
      ended.abort()
      await again
      await lock.release()
    },
  }
}
