import type {
  AttentionKind,
  Baseline,
  Device,
  Run,
  RunEvent,
  RunLabel,
  Runtime,
  Subject,
  Worker,
} from '../generated/prisma/client.ts'
import type { Interval } from '../stats/bootstrap.ts'
import type { MeasuredSeries } from '../stats/measured-series.ts'

export type RunRow = Run
export type RunLabelRow = RunLabel
export type SubjectRow = Subject
export type RunEventRow = RunEvent
export type WorkerRow = Worker
export type BaselineRow = Baseline

/** Which attempt writes: nothing is written unless the run is RUNNING and this is its latest attempt. */
export interface Guard {
  runId: string
  attempt: number
}

/** A series as read: of the run's latest attempt. */
export interface StoredSeries extends MeasuredSeries {
  runId: string
  attempt: number
  /** of the median, in milliseconds; null under five samples, and of a run from before it was kept */
  storedInterval: Interval | null
}

/** A subject as it is known at submission. */
export interface NewSubject {
  name: string
  modelName: string
  attentionKind: AttentionKind
  kvHeads: number | null
  device: Device
  threads: number | null
  /** left out: KVSCOPE */
  runtime?: Runtime
  synthetic: boolean
  /** ModelFacts of src/architecture */
  model: unknown
}

/** What the opened checkpoint adds to a subject; what is left out stays as it is. */
export interface OpenedSubjectRow {
  index: number
  /** null where an export's weights are quantised */
  dtype: string | null
  computeDtype: string
  fingerprint: string
  /** the number that "one for each physical core" came to */
  threads?: number | null
  model?: unknown
}
