/** What a series timed; the glossary in src/jobs says more. */
export type Phase = 'LOAD' | 'COLD' | 'FORWARD' | 'PREFILL' | 'DECODE' | 'COMBINED'

/** A warning beside a figure: what happened, and what to do about it. */
export interface Warning {
  code: string
  message: string
  advice: string
}

/**
 * The raw samples of one subject, phase and test, with the sizes seen beside them: what bench measures, a worker's child
 * sends and the database stores. Byte counts are whole numbers below 2^53.
 */
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
  /** peak resident set of the computing process while the series was measured, every loaded subject included */
  peakMemoryBytes: number | null
  /** the same as it was estimated before anything was loaded */
  peakMemoryBytesPredicted: number | null
  /**
   * bytes that one trial must read at the least: each step reads the weights once and the filled rows of the K/V cache;
   * null for load
   */
  bytesRead: number | null
  /** the part of them that is K/V cache */
  kvBytesRead: number | null
  /** floating-point operations of one trial, a multiplication and an addition counted apart; null for load */
  flops: number | null
  warnings: Warning[]
}
