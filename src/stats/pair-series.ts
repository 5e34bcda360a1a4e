import type { ComparableSeries } from './comparable-series.ts'

export interface SeriesPair<S extends ComparableSeries> {
  baseline: S | null
  candidate: S | null
  phase: S['phase']
  test: string
}

/**
 * Partners for a comparison of two runs: first by subject, phase and test; then, in order, what is left of the same
 * phase and test (another subject), then of the same subject and phase (another test). What stays alone has null beside
 * it. Rows follow the candidate's order, then the baseline's left-overs.
 */
export function pairSeries<S extends ComparableSeries>(
  baseline: readonly S[],
  candidate: readonly S[],
): SeriesPair<S>[] {
  const free = new Set(baseline)
  const partners = new Map<S, S>()
  for (const matches of [sameSubjectAndTest, sameTest, sameSubject]) {
    for (const after of candidate) {
      if (partners.has(after)) continue
      const before = [...free].find((one) => matches(one, after))
      if (before === undefined) continue
      free.delete(before)
      partners.set(after, before)
    }
  }
  return [
    ...candidate.map((after) => ({
      baseline: partners.get(after) ?? null,
      candidate: after,
      phase: after.phase,
      test: after.test,
    })),
    ...[...free].map((before) => ({ baseline: before, candidate: null, phase: before.phase, test: before.test })),
  ]
}

const sameTest = (one: ComparableSeries, other: ComparableSeries) =>
  one.phase === other.phase && one.test === other.test
const sameSubject = (one: ComparableSeries, other: ComparableSeries) =>
  one.phase === other.phase && one.subjectName === other.subjectName
const sameSubjectAndTest = (one: ComparableSeries, other: ComparableSeries) =>
  sameTest(one, other) && sameSubject(one, other)
