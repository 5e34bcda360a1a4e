import type { Queries } from '../../db/client.ts'
import { findRuns, findSubjects } from '../../db/run-parts.ts'
import type { Metric, Trend, TrendInput } from '../../generated/graphql.ts'
import type { TrendChartPicture } from '../../render/trend-chart.ts'
import { median } from '../../stats/quantile.ts'
import { environmentOf } from '../presenters/run.ts'

const shown: Record<Metric, Pick<TrendChartPicture, 'upright' | 'unit'> & { note: string }> = {
  TIME: {
    upright: 'time of a trial',
    unit: 'ms',
    note: 'A point is the median of a run, its whisker the 95 % bootstrap interval.',
  },
  TOKENS_PER_SECOND: {
    upright: 'rate',
    unit: 'tokens/s',
    note: 'A point is the median of a run, its whisker the 95 % bootstrap interval.',
  },
  KV_CACHE_BYTES: { upright: 'KV cache', unit: 'bytes', note: 'A point is what a run measured.' },
  PEAK_MEMORY_BYTES: { upright: 'peak memory', unit: 'bytes', note: 'A point is what a run measured.' },
}

/** The picture of a trend, named after the newest run's subject and machine, which the others share. */
export async function trendPicture(
  db: Queries,
  { points, changes, excluded }: Trend,
  { subject: name, phase, test, metric }: TrendInput,
): Promise<Omit<TrendChartPicture, 'theme'>> {
  const newest = points.at(-1)?.runId
  const ids = newest === undefined ? [] : [newest]
  const [runs, subjects] = await Promise.all([findRuns(db, ids), findSubjects(db, ids)])
  const subject = newest === undefined ? undefined : subjects.get(newest)?.find((one) => one.name === name)
  const run = newest === undefined ? undefined : runs.get(newest)
  const environment = run === undefined ? null : environmentOf(run)
  const machine = environment === null ? null : `${environment.cpu} (${environment.hostname})`
  const threads = subject?.threads == null ? null : `${subject.threads} thread${subject.threads === 1 ? '' : 's'}`
  const settings = [machine, subject?.device ?? null, subject?.dtype ?? null, threads].filter((part) => part !== null)
  const { note, ...axis } = shown[metric ?? 'TIME']
  const steps = changes.map(({ after }) => points.findIndex(({ runId }) => runId === after.runId))
  const drawn = points.map(({ at, value, interval }) => ({
    at: at.toISOString(),
    value,
    interval: interval ? { low: interval.low, high: interval.high } : null,
  }))
  const values = points.map(({ value }) => value)
  return {
    title: `${name}${subject === undefined ? '' : ` (${subject.attentionKind})`}: ${phase.toLowerCase()}${test ? ` ${test}` : ''}`,
    notes: [
      ...(settings.length === 0 ? [] : [`${settings.join(', ')}.`]),
      `${note} Steps are medians between changes of level, with their ratio and its interval.`,
      ...(excluded === 0
        ? []
        : [`${excluded} run${excluded === 1 ? '' : 's'} with another machine, device, dtype or threads left out.`]),
    ],
    synthetic: subject?.synthetic ?? false,
    kind: subject?.attentionKind ?? null,
    ...axis,
    points: drawn,
    changes: changes.map(({ ratio, interval }, place) => ({
      index: steps[place] ?? 0,
      ratio,
      interval: interval ? { low: interval.low, high: interval.high } : null,
    })),
    levels: values.length === 0 ? [] : [0, ...steps].map((from, place) => median(values.slice(from, steps[place]))),
  }
}
