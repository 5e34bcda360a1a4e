export interface MachineLock {
  release(): Promise<void>
}

/**
 * Waits for this machine's turn, but no longer than until `signal` is aborted.
 * @param lock waits for the lock of the machine
 * @returns the lock, or null after the abort; a lock that comes later is released at once
 */
export async function waitForTurn(lock: () => Promise<MachineLock>, signal: AbortSignal): Promise<MachineLock | null> {
  if (signal.aborted) return null
  const waiting = lock()
  let onAbort: () => void = () => undefined
  const aborted = new Promise<null>((resolve) => {
    onAbort = () => resolve(null)
    signal.addEventListener('abort', onAbort)
  })
  try {
    const first = await Promise.race([waiting, aborted])
    if (first === null) {
      waiting.then(
        (late) => late.release(),
        () => undefined,
      )
    }
    return first
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
