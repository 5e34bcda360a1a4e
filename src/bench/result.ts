import type { Phase, Warning } from '../jobs/glossary.ts'

/** What is known of a subject once its checkpoint has been opened. */
export interface OpenedSubject {
  /** place in the spec's list */
  index: number
  /** as stored in the checkpoint: the one that holds most bytes of the weights */
  dtype: string
  /** as the engine computes: 16-bit weights are widened on load */
  computeDtype: string
  fingerprint: string
}

/** The raw samples of one subject, phase and test. */
export interface MeasuredSeries {
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
  /**
   * bytes of the filled rows of the K/V tensors that the last step was fed, from their own shapes and element size; null
   * where no cache was read
   */
  kvCacheBytes: number | null
  /** the formula of architecture/kv-bytes at the same number of tokens */
  kvCacheBytesPredicted: number | null
  /** with the spare rows the cache keeps for growing */
  kvCacheBytesAllocated: number | null
  /** peak resident set of this process while the series was measured, every loaded subject included */
  peakMemoryBytes: number | null
  warnings: Warning[]
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
