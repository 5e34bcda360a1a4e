/** What a comparison needs to know of a series; more fields do no harm. Null: not known, and no reason by itself. */
export interface ComparableSeries {
  runId: string
  subjectName: string
  /** of the weights; null where not known yet */
  fingerprint: string | null
  /** of the weights as stored, and as the engine computes */
  dtype: string | null
  computeDtype: string | null
  device: string
  runtime: string
  /** null: as many as the machine has physical cores */
  threads: number | null
  hostname: string | null
  cpu: string | null
  /** physical cores that the process might use */
  cores: number | null
  /** of what kvscope times; figures of two versions are no match */
  timingVersion: number | null
  onnxruntime: string | null
  phase: string
  /** llama-bench's name; empty for load, cold and forward */
  test: string
  /** of the test, or of the prompt: a forward of nine tokens is no match for one of ten */
  promptTokens: number
  generatedTokens: number
  batch: number
  /** milliseconds, in the order of the blocks */
  samples: readonly number[]
  kvCacheBytes: number | null
  peakMemoryBytes: number | null
}
