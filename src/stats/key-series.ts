/** What the choice looks at; more fields do no harm. */
export interface KeySeriesCandidate {
  subjectIndex: number
  phase: string
  promptTokens: number
  depth: number
  samples: readonly number[]
}

/**
 * The series that stands for a run: the first subject's decode at the greatest depth, else its largest prefill, else its
 * forward pass; null where none was measured. Combined tests mix two rates and are left out.
 */
export function findKeySeries<S extends KeySeriesCandidate>(series: readonly S[]): S | null {
  const own = series.filter((one) => one.subjectIndex === 0 && one.samples.length > 0)
  const greatest = (phase: string, size: (one: S) => number) =>
    own.filter((one) => one.phase === phase).sort((a, b) => size(b) - size(a))[0]
  return (
    greatest('DECODE', (one) => one.depth) ??
    greatest('PREFILL', (one) => one.promptTokens) ??
    greatest('FORWARD', (one) => one.promptTokens) ??
    null
  )
}
