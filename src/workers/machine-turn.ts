import type { Database } from '../db/client.ts'
import { comeBackMs, lockMachine, type MachineLock } from '../db/machine-lock.ts'
import { endMachineLockHolder, findMachineLockHolder } from '../db/machine-lock-holder.ts'
import type { Logger } from '../log.ts'
import { tryPatiently } from './patience.ts'

/** How often a holder looks whether its lock still stands, and tries to have a lost one back. */
const holdEveryMs = 250

/** This machine's turn to execute something. */
export interface MachineTurn {
  end(): Promise<void>
}

export interface TurnContext {
  db: Database
  databaseUrl: string
  machineId: string
  workerId: string
  queueLockMs: number
  logger: Logger
  signal: AbortSignal
}

/**
 * Waits until no other worker of this machine executes anything, for as long as it takes. The lock lives in a
 * connection; when PostgreSQL restarts, the holder takes it again before those who wait try. A holder that is paused
 * keeps its connection: when its worker has long been silent, those who wait close it.
 * @returns null when `signal` was aborted while waiting
 */
export async function waitForTurn(context: TurnContext): Promise<MachineTurn | null> {
  const { databaseUrl, machineId, workerId, signal } = context
  const ended = new AbortController()
  const patience = { forMs: Number.POSITIVE_INFINITY, mayPass: () => true }
  let lock: MachineLock
  const stopWatching = watchHolder(context)
  try {
    const wait = () => lockMachine(databaseUrl, machineId, { workerId, signal })
    lock = await tryPatiently(wait, { ...patience, everyMs: comeBackMs, signal })
  } catch (error) {
    if (signal.aborted) return null
    throw error
  } finally {
    stopWatching()
  }

  let again: Promise<void> | null = null
  const lockAgain = async () => {
    const wait = () => lockMachine(databaseUrl, machineId, { workerId, signal: ended.signal, again: true })
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

/**
 * Looks every `queueLockMs` who keeps us waiting, and tells of it once. A holder whose worker is found silent twice is
 * gone or paused: after an outage of the database, when nobody could beat, the second look finds it alive.
 * @returns ends it
 */
function watchHolder({ db, machineId, queueLockMs, logger }: TurnContext): () => void {
  let told = false
  let suspect: number | null = null
  const look = async () => {
    const holder = await findMachineLockHolder(db, machineId, 2 * queueLockMs)
    if (holder === null) return
    if (!told) logger.warn({ holder, waitedMs: queueLockMs }, 'waiting for whoever executes on this machine')
    told = true
    if (holder.silent && holder.pid === suspect) {
      logger.warn({ holder }, 'its worker is silent: closing its connection')
      await endMachineLockHolder(db, holder)
    }
    suspect = holder.silent ? holder.pid : null
  }
  const timer = setInterval(() => {
    look().catch((error: unknown) => logger.debug({ err: error }, 'the holder of the machine could not be seen'))
  }, queueLockMs)
  return () => clearInterval(timer)
}
