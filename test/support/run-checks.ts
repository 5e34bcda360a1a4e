import { expect } from 'vitest'
import type { Database } from '../../src/db/client.ts'
import { readEvents } from '../../src/db/events.ts'
import type { RunEventRow, RunRow } from '../../src/db/rows.ts'
import { requireRun } from '../../src/db/runs.ts'
import { finalStatuses } from '../../src/jobs/glossary.ts'
import { until } from './processes.ts'

const isFinal = (status: string | null) => finalStatuses.some((final) => final === status)

/** Waits until a run has its end, and returns it. */
export async function runEnded(db: Database, runId: string, withinMs = 60_000): Promise<RunRow> {
  let seen = ''
  const ended = until(
    `run ${runId} has ended`,
    async () => {
      const { status, attempt } = await requireRun(db, runId)
      seen = `${status}, attempt ${attempt}`
      return isFinal(status)
    },
    withinMs,
  )
  await ended.catch((error: unknown) => {
    throw new Error(`it is still ${seen}`, { cause: error })
  })
  return requireRun(db, runId)
}

/** The events of a run, which must be numbered 1, 2, 3, ... without a gap up to the run's lastSeq. */
export async function orderedEvents(db: Database, runId: string): Promise<RunEventRow[]> {
  const run = await requireRun(db, runId)
  const events = await readEvents(db, runId, 0, 100_000)
  expect(events.map((event) => event.seq)).toEqual(Array.from({ length: run.lastSeq }, (_, index) => index + 1))
  const attempts = events.map((event) => event.attempt)
  expect(attempts).toEqual([...attempts].sort((a, b) => a - b))
  return events
}

/**
 * What must hold of a finished run after whatever was killed meanwhile: it succeeded once, its last event says so, its
 * results are those of exactly one attempt, each series once, and rows of earlier attempts are swept away.
 */
export async function expectFinishedOnce(db: Database, runId: string, series: number): Promise<RunRow> {
  const run = await runEnded(db, runId)
  expect({ status: run.status, error: run.errorMessage, log: run.errorLog }).toMatchObject({ status: 'SUCCEEDED' })
  const events = await orderedEvents(db, runId)
  expect(events.filter((event) => event.status === 'SUCCEEDED')).toHaveLength(1)
  expect(events.at(-1)?.status).toBe('SUCCEEDED')
  expect(events.at(-1)?.attempt).toBe(run.attempt)
  await until('rows of earlier attempts are gone', async () => {
    return (await db.series.count({ where: { runId, attempt: { not: run.attempt } } })) === 0
  })
  expect(await db.series.count({ where: { runId, attempt: run.attempt } })).toBe(series)
  return run
}
