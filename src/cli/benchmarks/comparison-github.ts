import type { Metric } from '../../generated/operations.ts'
import { formatRatio } from '../../render/units.ts'
import type { BenchmarkComparison } from './compared-rows.ts'
import { type Measured, measuredOf } from './measured.ts'

/** What github-action-benchmark reads as customSmallerIsBetter or customBiggerIsBetter: a list of these. */
export interface GithubBenchmark {
  name: string
  unit: string
  value: number
  range?: string
  extra: string
}

/**
 * The candidates' own figures, one a subject and test: the action keeps the history and compares with the commit before.
 * `range` is half the width of the median's interval, `extra` says what the baseline was and what became of it. Times and
 * bytes are smaller-is-better, tokens a second bigger-is-better: the action takes one of the two from a file.
 */
export function githubBenchmarks(
  { rows, baseline, candidates }: BenchmarkComparison,
  metric: Metric,
): GithubBenchmark[] {
  return rows.flatMap((row) => {
    const { candidate } = row
    const measured = candidate === null ? null : measuredOf(candidate, metric)
    if (candidate === null || measured === null) return []
    const run = candidates.length > 1 ? ` (${row.candidateId.slice(-6)})` : ''
    return {
      name: `${candidate.subject.name} ${row.test ?? row.phase.toLowerCase()}${run}`,
      unit: measured.unit,
      value: measured.value,
      ...rangeOf(measured),
      extra: [
        `ratio ${row.ratio === null ? 'none' : formatRatio(row.ratio, row.interval)} to run ${baseline.id}`,
        row.verdict,
        ...row.reasons,
        `${candidate.summary.count} trials, run ${row.candidateId}`,
        ...(candidate.subject.synthetic ? ['SYNTHETIC WEIGHTS'] : []),
      ].join('\n'),
    }
  })
}

function rangeOf({ interval }: Measured): { range?: string } {
  if (interval === null) return {}
  return { range: `± ${Number(((interval.high - interval.low) / 2).toPrecision(4))}` }
}
