import { InvalidArgumentError } from 'commander'
import type { Metric } from '../../generated/operations.ts'
import { formatRatio } from '../../render/units.ts'
import type { ComparedRow } from './compared-rows.ts'
import { measuredOf } from './measured.ts'

const phases = ['load', 'cold', 'forward', 'prefill', 'decode', 'combined'] as const

/** A condition of `--fail-if`, such as `gpt2 decode slower 5%`. */
export interface Condition {
  /** as it was written */
  text: string
  /** null: every subject */
  subject: string | null
  of: { phase: (typeof phases)[number] } | { test: string } | { metric: 'KV_CACHE_BYTES' | 'PEAK_MEMORY_BYTES' }
  metric: Metric
  /** whether the ratio candidate / baseline offends above `limit`, or below */
  side: 'above' | 'below'
  /** as a ratio: 1.05 for slower 5%, 0.95 for faster 5% */
  limit: number
}

const examplesText =
  "'decode slower 5%', 'gpt2 tg128 @ d512 slower 3%', 'prefill faster 10%', 'kv larger 0%', 'memory larger 10%'"

const test = String.raw`(?:pp\d+(?:\+tg\d+)?|tg\d+)(?:\s*@\s*d\d+)?(?:\s+x\d+)?`
const grammar = new RegExp(
  String.raw`^(?:(?<subject>.+?)\s+)?(?:(?<what>${phases.join('|')}|${test})\s+(?<time>slower|faster)|(?<bytes>memory|kv)\s+(?<size>larger|smaller))\s+(?:by\s+)?(?<percent>\d+(?:\.\d+)?)\s*%$`,
  'i',
)

/**
 * `[SUBJECT] PHASE-OR-TEST slower|faster N%` or `[SUBJECT] memory|kv larger|smaller N%`, for commander; may be repeated.
 * Slower and faster are of time: slower 5% is 1.05 times as much, faster 5% is 0.95 times.
 */
export function conditionOption(text: string, earlier: Condition[] = []): Condition[] {
  const found = grammar.exec(text.trim().replace(/\s+/g, ' '))?.groups
  const { subject, what, time, bytes, size, percent } = found ?? {}
  if (percent === undefined) {
    throw new InvalidArgumentError(
      `${text} is not [SUBJECT] PHASE-OR-TEST slower|faster N% or [SUBJECT] memory|kv larger|smaller N%, such as ${examplesText}.`,
    )
  }
  const above = (time ?? size ?? '').toLowerCase() === 'slower' || size?.toLowerCase() === 'larger'
  const share = Number(percent) / 100
  if (!above && share >= 1) throw new InvalidArgumentError(`${text}: nothing gets smaller by ${percent} %.`)
  const metric = bytes === undefined ? 'TIME' : bytes.toLowerCase() === 'kv' ? 'KV_CACHE_BYTES' : 'PEAK_MEMORY_BYTES'
  const condition: Condition = {
    text,
    subject: subject ?? null,
    of: metric === 'TIME' ? whatIsTimed(what ?? '') : { metric },
    metric,
    side: above ? 'above' : 'below',
    limit: above ? 1 + share : 1 - share,
  }
  return [...earlier, condition]
}

function whatIsTimed(what: string): Condition['of'] {
  const phase = phases.find((each) => each === what.toLowerCase())
  if (phase !== undefined) return { phase }
  return { test: what.toLowerCase().replace(/\s*@\s*/, ' @ ') }
}

/** `worse`: surely beyond the limit. `fine`: surely not. `unknown`: the figures allow both, or there are none. */
export type Outcome = 'fine' | 'worse' | 'unknown'

export interface Judgement {
  condition: string
  outcome: Outcome
  /** what it rests on, row by row; why nothing can be told where nothing can */
  because: string[]
}

/**
 * What rows say of a condition. A time ratio with an interval is beyond the limit where its whole interval is, and within
 * where none of it is; in between, without an interval, and where runs are not comparable, nothing can be told. Byte counts
 * have no spread: their ratio decides.
 */
export function judge(condition: Condition, rows: readonly ComparedRow[]): Judgement {
  const asked = rows.filter((row) => matches(condition, row))
  const verdicts = asked.map((row) => ({ row, outcome: outcomeOf(condition, row) }))
  const outcomes = verdicts.map(({ outcome }) => outcome)
  const outcome = outcomes.includes('worse') ? 'worse' : outcomes.every((one) => one === 'fine') ? 'fine' : 'unknown'
  if (asked.length === 0) return { condition: condition.text, outcome: 'unknown', because: ['no row fits it'] }
  return {
    condition: condition.text,
    outcome,
    because: verdicts.filter((one) => one.outcome === outcome).map(({ row }) => rowText(row)),
  }
}

function matches({ subject, of }: Condition, row: ComparedRow): boolean {
  const names = [row.baseline?.subject.name, row.candidate?.subject.name]
  if (subject !== null && !names.includes(subject)) return false
  if ('phase' in of) return row.phase.toLowerCase() === of.phase
  if ('test' in of) return row.test === of.test
  // Most phases read no cache.
  const { metric } = of
  return [row.baseline, row.candidate].some((series) => series !== null && measuredOf(series, metric) !== null)
}

function outcomeOf({ side, limit, metric }: Condition, row: ComparedRow): Outcome {
  if (row.verdict === 'NOT_COMPARABLE' || row.ratio === null) return 'unknown'
  const interval = metric === 'TIME' ? row.interval : { low: row.ratio, high: row.ratio }
  if (interval === null) return 'unknown'
  if (side === 'above') return interval.low > limit ? 'worse' : interval.high <= limit ? 'fine' : 'unknown'
  return interval.high < limit ? 'worse' : interval.low >= limit ? 'fine' : 'unknown'
}

function rowText(row: ComparedRow): string {
  const name = row.candidate?.subject.name ?? row.baseline?.subject.name ?? ''
  const ratio = row.ratio === null ? 'no ratio' : formatRatio(row.ratio, row.interval)
  const why = row.reasons.length === 0 ? '' : `: ${row.reasons.join('; ')}`
  return `${name} ${row.test ?? row.phase.toLowerCase()} ${ratio}, ${row.verdict}${why}`
}

/** Of several, worse goes before unknown, and unknown before fine. */
export function worst(judgements: readonly Judgement[]): Outcome {
  const outcomes = judgements.map(({ outcome }) => outcome)
  return outcomes.includes('worse') ? 'worse' : outcomes.includes('unknown') ? 'unknown' : 'fine'
}
