import type { RunQueue } from '../db/run-queue.ts'
import type { ErrorRecord } from '../errors.ts'
import type { HeadRows } from '../heads/rows.ts'
import type { MeasuredSeries } from '../stats/measured-series.ts'
import type { OpenedSubject, Outcome } from './messages.ts'

/** Whose results they are: nothing is written unless the run is still running this attempt. */
export interface Guard {
  runId: string
  attempt: number
}

export interface TakenRun extends Guard, RunQueue {
  /** as stored; to be parsed */
  spec: unknown
}

export type ExecutionResult = { outcome: Outcome } | { error: ErrorRecord }

/**
 * What a worker writes. Each write is guarded and returns false when the run is no longer this attempt's: then the
 * worker must stop. A write waits for a database that is gone, for it may come back.
 */
export interface RunStore {
  /** Starts the next attempt at a run that waits, or whose worker is silent; null when it is someone else's or ended. */
  take(runId: string): Promise<TakenRun | null>
  isMine(guard: Guard): Promise<boolean>
  addProgress(guard: Guard, fraction: number, message: string): Promise<boolean>
  completeSubjects(guard: Guard, rows: OpenedSubject[]): Promise<boolean>
  insertSeries(guard: Guard, rows: MeasuredSeries[]): Promise<boolean>
  insertHeads(guard: Guard, batch: HeadRows): Promise<boolean>
  /** The last transaction: status, environment or error, and the last event. */
  finish(guard: Guard, result: ExecutionResult, log: string | null): Promise<boolean>
  /** Puts an unfinished run back into the queue. */
  handBack(guard: Guard): Promise<boolean>
}
