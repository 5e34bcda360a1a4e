import type { MeasuredSeries, Warning } from '../stats/measured-series.ts'

/** What is known of a subject once its checkpoint has been opened. */
export interface OpenedSubject {
  /** place in the spec's list */
  index: number
  /** as stored: the one that holds most bytes of the weights; null where an export is quantised */
  dtype: string | null
  /** as the graph computes: our own widen 16-bit weights on load, an export is as it was made */
  computeDtype: string
  fingerprint: string
}

/** The machine and the software that measured; `loadAtStart` and `loadAtEnd` are one-minute load averages. */
export interface Environment {
  hostname: string
  cpu: string
  /** physical cores that this process may use */
  cores: number
  memoryBytes: number
  os: string
  node: string
  onnxruntime: string
  kvscope: string
  loadAtStart: number
  loadAtEnd: number
  /** raised whenever a change of kvscope changes what it times: figures of two of them are no match */
  timingVersion: number
  /** how fast this machine reads and computes; null where it was not measured */
  bounds: MachineBounds | null
}

/** What no model can outrun on a machine, as measured there within the last day. */
export interface MachineBounds {
  /** bytes a second that the fastest probe read of main memory */
  bytesPerSecond: number
  /** floating-point operations a second of a large matrix product in f32 */
  flopsPerSecond: number
  threads: number
  /** ISO 8601 */
  measuredAt: string
}

export interface BenchmarkOutcome {
  environment: Environment
  warnings: Warning[]
  /** milliseconds per token of the first subject's decode at the greatest depth, else prefill, else forward */
  keyFigure: number | null
}

/** Where results go, as they come. Called between trials only, and the next trial waits for what is returned. */
export interface BenchSink {
  progress(fraction: number, message: string): void | Promise<void>
  subjects(rows: OpenedSubject[]): void | Promise<void>
  series(rows: MeasuredSeries[]): void | Promise<void>
  /** Called just before each trial, warm-ups included: the moment for what must not happen while one is timed. */
  beforeTrial?(): void | Promise<void>
}
