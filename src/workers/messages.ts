import type { HubSettings } from '../config.ts'
import type { ErrorRecord } from '../errors.ts'
import type { HeadRows } from '../heads/rows.ts'
import type { RunSpec } from '../jobs/spec.ts'
import type { MeasuredSeries, Warning } from '../stats/measured-series.ts'

/**
 * What a worker and the child of one execution say to each other. Every message is plain and structured-clonable.
 * The child knows no database and the parent no model, so these types belong to neither side.
 */

/** The first message from parent to child. */
export interface StartMessage {
  type: 'start'
  spec: RunSpec
  dataDir: string
  modelRoots: readonly string[]
  /** with the token, which travels over this channel and not in the environment */
  hub: HubSettings
  /** what a run on attention maps may store */
  maxResultBytes: number
}

/** The parent's answer to a message of the child, once it is stored; there is none when the child is to be killed. */
export interface AckMessage {
  type: 'ack'
  /** of the message answered */
  number: number
}

export type ParentMessage = StartMessage | AckMessage

/** What is known of a subject once its weights have been opened. */
export interface OpenedSubject {
  index: number
  /** null where an export's weights are quantised */
  dtype: string | null
  computeDtype: string
  fingerprint: string
}

/** The end of an execution that succeeded. */
export interface Outcome {
  /** `Environment` of the public schema, as plain JSON */
  environment: object
  warnings: Warning[]
  /** milliseconds per token of the key figure; null where the spec asks for none */
  keyFigure: number | null
}

/**
 * Messages from child to parent, in the order of the work; `outcome` or `failed` is the last. The child goes on when a
 * message is answered, so none is on its way, nor is the parent storing one, during a timed trial.
 */
export type ChildMessage =
  | { type: 'progress'; fraction: number; message: string }
  | { type: 'subjects'; rows: OpenedSubject[] }
  | { type: 'series'; rows: MeasuredSeries[] }
  | { type: 'heads'; batch: HeadRows }
  | { type: 'outcome'; outcome: Outcome }
  | { type: 'failed'; error: ErrorRecord }

/** As it goes over the channel: numbered from 1 in the order sent. */
export interface NumberedMessage {
  number: number
  message: ChildMessage
}

/** Where the work of a child goes; a job kind calls it between trials only and waits until the parent has stored it. */
export interface ChildSink {
  progress(fraction: number, message: string): Promise<void>
  subjects(rows: OpenedSubject[]): Promise<void>
  series(rows: MeasuredSeries[]): Promise<void>
  heads(batch: HeadRows): Promise<void>
}
