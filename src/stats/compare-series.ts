import { fewestForInterval, type Interval } from './bootstrap.ts'
import type { ComparableSeries } from './comparable-series.ts'
import { pairSeries, type SeriesPair } from './pair-series.ts'
import { ratioOfMedians } from './ratio.ts'
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
 * Every series of one run against the series of the same subject, phase and test of another. Where subject, test,
 * machine, device or threads differ the row is NOT_COMPARABLE and says why.
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
    return { ...pair, ...compareUnless(differences(before, after), before, after, options) }
  })
}

/**
 * Every other subject of one run against the subject named: they differ on purpose and were timed in the same blocks,
 * so samples are paired. A lacking partner is a reason, and so are prompts of different lengths: two tokenizers make
 * different work of one text.
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
      const reasons = difference('prompt length', baseline.promptTokens, candidate.promptTokens)
      return { ...row, ...compareUnless(reasons, baseline, candidate, options) }
    })
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

  const interleaved = baseline.runId === candidate.runId && baseline.samples.length === candidate.samples.length
  const time = ratioOfMedians(baseline.samples, candidate.samples, { paired: interleaved })
  const ratio = metric === 'TIME' ? time.ratio : 1 / time.ratio
  if (time.interval === null) return inconclusive(ratio, tooFewSamples(baseline, candidate))
  const { low, high, level } = time.interval
  const interval = metric === 'TIME' ? time.interval : { low: 1 / high, high: 1 / low, level }
  return { ratio, interval, verdict: verdictOf(time.interval, margin), reasons: [] }
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

function tooFewSamples(baseline: ComparableSeries, candidate: ComparableSeries): string {
  const fewest = Math.min(baseline.samples.length, candidate.samples.length)
  if (fewest === 1) return 'one sample has no spread, so there is no interval'
  return `${fewest} samples are too few for an interval, which takes ${fewestForInterval}`
}

function differences(baseline: ComparableSeries, candidate: ComparableSeries): string[] {
  const reasons: string[] = []
  const compare = (...compared: Parameters<typeof difference>) => reasons.push(...difference(...compared))
  compare('subject', baseline.subjectName, candidate.subjectName)
  if (baseline.subjectName === candidate.subjectName && baseline.fingerprint !== candidate.fingerprint) {
    reasons.push(`subject differs: ${baseline.subjectName} has other weights (fingerprint) in the baseline`)
  }
  compare('test', baseline.test, candidate.test)
  compare('prompt length', baseline.promptTokens, candidate.promptTokens)
  compare('machine', baseline.hostname, candidate.hostname)
  if (baseline.hostname === candidate.hostname) compare('processor', baseline.cpu, candidate.cpu)
  compare('device', baseline.device, candidate.device)
  compare('threads', baseline.threads, candidate.threads)
  return reasons
}

function difference(what: string, before: string | number | null, after: string | number | null): string[] {
  return before === after ? [] : [`${what} differs: ${before ?? 'default'} in the baseline, ${after ?? 'default'} here`]
}

function inconclusive(ratio: number | null, reason: string): Compared {
  return { ratio, interval: null, verdict: 'INCONCLUSIVE', reasons: [reason] }
}

function notComparable(reasons: string[]): Compared {
  return { ratio: null, interval: null, verdict: 'NOT_COMPARABLE', reasons }
}
