/** What a comparison needs to know of a series; more fields do no harm. */
export interface ComparableSeries {
  runId: string
  subjectName: string
  /** of the weights; null where not known yet */
  fingerprint: string | null
  device: string
  /** null: as many as the machine has physical cores */
  threads: number | null
  hostname: string | null
  cpu: string | null
  phase: string
  /** llama-bench's name; empty for load, cold and forward */
  test: string
  /** of the test, or of the prompt: a forward of nine tokens is no match for one of ten */
  promptTokens: number
  /** milliseconds, in the order of the blocks */
  samples: readonly number[]
  kvCacheBytes: number | null
  peakMemoryBytes: number | null
}
