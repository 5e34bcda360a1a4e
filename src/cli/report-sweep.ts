import type { ReportBlock } from '../render/report.ts'
import { formatMilliseconds } from '../render/units.ts'
import type { BenchmarkRun } from './benchmark-run.ts'
import type { ApiClient } from './client.ts'
import { fetchPicture } from './report-picture.ts'

const right = { align: 'right' } as const

type Fit = BenchmarkRun['fits'][number]

/** A benchmark that is a sweep in a report: its picture, and the lines fitted to it. Nothing of another. */
export async function reportSweep(client: ApiClient, run: BenchmarkRun): Promise<ReportBlock[]> {
  if (run.chartUrl === null) return []
  return [
    { of: 'heading', text: 'Sweep' },
    await fetchPicture(client, run.chartUrl),
    ...(run.fits.length === 0 ? [] : [fitsTable(run.fits)]),
  ]
}

function fitsTable(fits: readonly Fit[]): ReportBlock {
  return {
    of: 'table',
    caption: `Time = fixed cost + slope x ${fits[0]?.axis ?? ''}, fitted to the medians, with 95 % bootstrap intervals.`,
    table: {
      columns: [
        { title: 'measured' },
        { title: 'model' },
        { title: 'fixed cost', ...right },
        { title: 'interval', ...right },
        { title: 'slope', ...right },
        { title: 'interval', ...right },
        { title: 'per' },
      ],
      rows: fits.map(({ subject, phase, test, fixed, slope, unit }) => [
        [phase.toLowerCase(), ...(test === null ? [] : [test])].join(' '),
        subject.name,
        formatMilliseconds(fixed.value),
        intervalText(fixed),
        formatMilliseconds(slope.value),
        intervalText(slope),
        unit.replace(/^ms (per )?/, ''),
      ]),
    },
  }
}

function intervalText({ interval }: Fit['slope']): string {
  return interval === null ? '–' : `${formatMilliseconds(interval.low)} to ${formatMilliseconds(interval.high)}`
}
