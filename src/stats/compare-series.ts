import type { Interval } from './bootstrap.ts'
import { differencesOfRuns, differencesOfWork, mixedCauses } from './comparability.ts'
import type { ComparableSeries } from './comparable-series.ts'
import { tooFewSamples, whatItTakes } from './inconclusive.ts'
import { minimumDetectableEffect } from './minimum-detectable-effect.ts'
import { pairSeries, type SeriesPair } from './pair-series.ts'
import { pairedPermutationTest, unpairedPermutationTest } from './permutation-test.ts'
import { logBlockRatios, medianOfBlockRatios, ratioOfMedians } from './ratio.ts'
import { defaultMargin, type Verdict, verdictOf } from './verdict.ts'

export type Metric = 'TIME' | 'TOKENS_PER_SECOND' | 'KV_CACHE_BYTES' | 'PEAK_MEMORY_BYTES'

export interface ComparisonRow<S extends ComparableSeries> extends SeriesPair<S> {
  /** candidate / baseline of the metric; null where they cannot be compared or nothing was measured */
  ratio: number | null
  interval: Interval | null
  verdict: Verdict
  reasons: string[]
}

export interface CompareOptions {
  metric?: Metric
  margin?: number
  /** compare in spite of the reasons; they stay in the row */
  force?: boolean
}

/**
 * Every series of one run against the series of the same subject, phase and test of another. Where subject, test, dtype,
 * runtime, machine, device, threads or the engine differ the row is NOT_COMPARABLE and says why.
 */
export function compareSeries<S extends ComparableSeries>(
  baseline: readonly S[],
  candidate: readonly S[],
  options: CompareOptions = {},
): ComparisonRow<S>[] {
  return pairSeries(baseline, candidate).map((pair) => {
    const { baseline: before, candidate: after } = pair
    if (before === null || after === null) {
      const side = before === null ? 'baseline' : 'candidate'
      return { ...pair, ...notComparable([`the ${side} has no such series: its tests or subjects differ`]) }
    }
    const compared = compareUnless(differencesOfRuns(before, after), before, after, options)
    return { ...pair, ...compared, reasons: [...compared.reasons, ...driftBetween(before, after, compared.verdict)] }
  })
}

/** Of 100 pairs of like runs on a busy machine, 31 differed surely by their own samples (docs/benchmarks.md). */
function driftBetween(baseline: ComparableSeries, candidate: ComparableSeries, verdict: Verdict): string[] {
  if (baseline.runId === candidate.runId || (verdict !== 'FASTER' && verdict !== 'SLOWER')) return []
  return ['two runs: what drifts from run to run is in no interval; time both in one run to be sure']
}

/**
 * Every other subject of one run against the subject named: they differ on purpose and were timed in the same blocks,
 * so samples are paired. A lacking partner is a reason, and so are prompts of different lengths. Where they differ in more
 * than one thing the row says so beside its verdict.
 */
export function compareSubjects<S extends ComparableSeries>(
  series: readonly S[],
  baselineSubject: string,
  options: CompareOptions = {},
): ComparisonRow<S>[] {
  return series
    .filter((candidate) => candidate.subjectName !== baselineSubject)
    .map((candidate) => {
      const baseline = series.find(
        (one) => one.subjectName === baselineSubject && one.phase === candidate.phase && one.test === candidate.test,
      )
      const row = { baseline: baseline ?? null, candidate, phase: candidate.phase, test: candidate.test }
      if (baseline === undefined) return { ...row, ...notComparable([`"${baselineSubject}" has no such series`]) }
      const compared = compareUnless(differencesOfWork(baseline, candidate), baseline, candidate, options)
      return { ...row, ...compared, reasons: [...compared.reasons, ...mixedCauses(baseline, candidate)] }
    })
}

/**
 * Probability of a difference at least as uneven if both sides were alike, by the permutation test that fits: labels
 * exchanged within blocks, or dealt out anew. Null where the row has no interval.
 */
export function pValueOf({ baseline, candidate, interval }: ComparisonRow<ComparableSeries>): number | null {
  if (baseline === null || candidate === null || interval === null) return null
  return areInterleaved(baseline, candidate)
    ? pairedPermutationTest(logBlockRatios(baseline.samples, candidate.samples))
    : unpairedPermutationTest(baseline.samples, candidate.samples)
}

/** Least difference of time that such samples would show in 90 of 100 runs, as a share; null where the row has no interval. */
export function minimumDetectableOf({ baseline, candidate, interval }: ComparisonRow<ComparableSeries>): number | null {
  if (baseline === null || candidate === null || interval === null) return null
  return minimumDetectableEffect(interval, fewestOf(baseline, candidate))
}

type Compared = Pick<ComparisonRow<ComparableSeries>, 'ratio' | 'interval' | 'verdict' | 'reasons'>

/** Compares two series unless there are reasons not to; forced, it does so all the same and keeps them. */
function compareUnless(
  reasons: string[],
  baseline: ComparableSeries,
  candidate: ComparableSeries,
  options: CompareOptions,
): Compared {
  if (reasons.length > 0 && !options.force) return notComparable(reasons)
  const compared = compareOne(baseline, candidate, options)
  return { ...compared, reasons: [...reasons, ...compared.reasons] }
}

function compareOne(baseline: ComparableSeries, candidate: ComparableSeries, options: CompareOptions): Compared {
  const { metric = 'TIME', margin = defaultMargin } = options
  if (metric === 'KV_CACHE_BYTES') return compareBytes(baseline.kvCacheBytes, candidate.kvCacheBytes, margin)
  if (metric === 'PEAK_MEMORY_BYTES') return compareBytes(baseline.peakMemoryBytes, candidate.peakMemoryBytes, margin)
  if (baseline.samples.length === 0 || candidate.samples.length === 0)
    return inconclusive(null, 'a series has no samples yet')

  const paired = areInterleaved(baseline, candidate)
  const time = paired
    ? medianOfBlockRatios(baseline.samples, candidate.samples)
    : ratioOfMedians(baseline.samples, candidate.samples)
  // Time for one unit of work: per trial, or per token, of which trials of other tests have other numbers.
  const work = metric === 'TIME' ? 1 : tokensOf(baseline) / tokensOf(candidate)
  if (!Number.isFinite(work) || work === 0) return inconclusive(null, 'no tokens are processed in this phase')
  const perUnit = (value: number) => value * work
  const shown = (value: number) => (metric === 'TIME' ? perUnit(value) : 1 / perUnit(value))
  const ratio = shown(time.ratio)
  const samples = fewestOf(baseline, candidate)
  if (time.interval === null) return inconclusive(ratio, tooFewSamples(samples))
  const { low, high, level } = time.interval
  const ofUnit = { low: perUnit(low), high: perUnit(high), level }
  const [one, other] = [shown(low), shown(high)]
  const interval = { low: Math.min(one, other), high: Math.max(one, other), level }
  const verdict = verdictOf(ofUnit, margin)
  const reasons = verdict === 'INCONCLUSIVE' ? [whatItTakes(interval, { samples, paired, margin })] : []
  return { ratio, interval, verdict, reasons }
}

/** Timed in the same blocks: subjects of one run, each once a block. */
function areInterleaved(baseline: ComparableSeries, candidate: ComparableSeries): boolean {
  return baseline.runId === candidate.runId && baseline.samples.length === candidate.samples.length
}

function fewestOf(baseline: ComparableSeries, candidate: ComparableSeries): number {
  return Math.min(baseline.samples.length, candidate.samples.length)
}

function tokensOf({ phase, promptTokens, generatedTokens, batch }: ComparableSeries): number {
  return phase === 'LOAD' ? 0 : (promptTokens + generatedTokens) * batch
}

/** Byte counts have no spread and are no times: beyond the margin the ratio speaks for itself. */
function compareBytes(baseline: number | null, candidate: number | null, margin: number): Compared {
  if (baseline === null || candidate === null) return inconclusive(null, 'the bytes were not measured in this phase')
  if (baseline === candidate) return { ratio: 1, interval: null, verdict: 'NO_DIFFERENCE', reasons: [] }
  if (baseline === 0) return inconclusive(null, 'the baseline counts no bytes')
  const ratio = candidate / baseline
  if (Math.abs(ratio - 1) <= margin) return { ratio, interval: null, verdict: 'NO_DIFFERENCE', reasons: [] }
  return inconclusive(ratio, 'verdicts speak of time; a byte count is exact, so the ratio itself is the answer')
}

function inconclusive(ratio: number | null, reason: string): Compared {
  return { ratio, interval: null, verdict: 'INCONCLUSIVE', reasons: [reason] }
}

function notComparable(reasons: string[]): Compared {
  return { ratio: null, interval: null, verdict: 'NOT_COMPARABLE', reasons }
}
