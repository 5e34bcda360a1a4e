import type {
  AttentionKind,
  Device,
  Phase,
  Run,
  RunEvent,
  RunLabel,
  Subject,
  Worker,
} from '../generated/prisma/client.ts'

export type RunRow = Run
export type RunLabelRow = RunLabel
export type SubjectRow = Subject
export type RunEventRow = RunEvent
export type WorkerRow = Worker

/** Which attempt writes: nothing is written unless the run is RUNNING and this is its latest attempt. */
export interface Guard {
  runId: string
  attempt: number
}

export interface StoredWarning {
  code: string
  message: string
  advice: string
}

/** The raw samples of one subject, phase and test. Byte counts are whole numbers below 2^53. */
export interface SeriesRow {
  subjectIndex: number
  phase: Phase
  /** llama-bench's name; empty for load, cold and forward */
  test: string
  promptTokens: number
  generatedTokens: number
  depth: number
  batch: number
  /** milliseconds of one whole trial each, in the order of the blocks */
  samples: number[]
  kvCacheBytes: number | null
  kvCacheBytesPredicted: number | null
  kvCacheBytesAllocated: number | null
  peakMemoryBytes: number | null
  warnings: StoredWarning[]
}

/** A series as read: of the run's latest attempt. */
export interface StoredSeries extends SeriesRow {
  runId: string
  attempt: number
}

/** A subject as it is known at submission. */
export interface NewSubject {
  name: string
  modelName: string
  attentionKind: AttentionKind
  kvHeads: number | null
  device: Device
  threads: number | null
  synthetic: boolean
  /** ModelFacts of src/architecture */
  model: unknown
}

/** What the opened checkpoint adds to a subject; what is left out stays as it is. */
export interface OpenedSubjectRow {
  index: number
  dtype: string
  computeDtype: string
  fingerprint: string
  /** the number that "one for each physical core" came to */
  threads?: number | null
  model?: unknown
}
