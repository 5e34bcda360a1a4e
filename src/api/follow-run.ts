import type { Database } from '../db/client.ts'
import { readEvents } from '../db/events.ts'
import type { RunNotifications } from '../db/notifications.ts'
import type { RunEventRow } from '../db/rows.ts'
import { noSuchRun } from '../db/run-id.ts'
import { findRuns } from '../db/run-parts.ts'
import { finalStatuses } from '../jobs/glossary.ts'
import type { Logger } from '../log.ts'
import { createAlarm } from './alarm.ts'

export interface FollowOptions {
  db: Database
  notifications: RunNotifications
  log: Logger
  /** How long to wait for a notification before looking anyway: they may be lost. */
  lookEveryMs?: number
  /** How long the database may stay away before followers are told. */
  patienceMs?: number
}

const batch = 500

/**
 * The events of a run after `after`: those stored first, then new ones as they come, each once and in order, until the
 * run is finished and nothing is left. The table is the truth, a notification only ends the wait, so replaying and
 * following are one loop and it makes no difference which API instance runs it.
 * @throws AppError NOT_FOUND
 */
export async function followRun(
  options: FollowOptions,
  runId: string,
  after: number,
): Promise<AsyncGenerator<RunEventRow, void, undefined>> {
  if (!(await findRuns(options.db, [runId])).has(runId)) throw noSuchRun(runId)
  const stop = new AbortController()
  const events = readAndWait(options, runId, after, stop.signal)
  // A generator that waits hears of `return` only when it wakes: the signal wakes it.
  const end = events.return.bind(events)
  return Object.assign(events, {
    return: (value: undefined) => {
      stop.abort()
      return end(value)
    },
  })
}

async function* readAndWait(options: FollowOptions, runId: string, after: number, stop: AbortSignal) {
  const { db, notifications, log, lookEveryMs = 1000, patienceMs = 60_000 } = options
  const alarm = createAlarm()
  const unsubscribe = notifications.onRun(runId, alarm.ring)
  stop.addEventListener('abort', alarm.ring, { once: true })
  let seen = after
  let awaySince: number | null = null
  try {
    while (!stop.aborted) {
      alarm.set() // before reading, so that no event falls between reading and waiting
      let more = false
      try {
        const events = await readEvents(db, runId, seen, batch)
        awaySince = null
        for (const event of events) {
          seen = event.seq
          yield event
        }
        more = events.length > 0
        if (!more && (await isOver(db, runId, seen))) return
      } catch (error) {
        awaySince ??= Date.now()
        if (Date.now() - awaySince > patienceMs) throw error
        log.warn({ runId, err: error }, 'following a run: the database is away')
      }
      if (!more) await alarm.wait(lookEveryMs)
    }
  } finally {
    unsubscribe()
    stop.removeEventListener('abort', alarm.ring)
  }
}

/** Whether the run is finished and its last event has been seen; also where it has been deleted meanwhile. */
async function isOver(db: Database, runId: string, seen: number): Promise<boolean> {
  const run = (await findRuns(db, [runId])).get(runId)
  return run === undefined || (finalStatuses.some((status) => status === run.status) && run.lastSeq <= seen)
}
