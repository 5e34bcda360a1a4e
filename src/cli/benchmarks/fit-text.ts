import type { Style } from '../../render/style.ts'
import { tableToText } from '../../render/table.ts'
import { formatMilliseconds } from '../../render/units.ts'
import type { BenchmarkRun } from '../benchmark-run.ts'
import { subjectLabels } from '../run-labels.ts'

type Estimate = BenchmarkRun['fits'][number]['slope']

/** What is paid whatever the axis and what one more of it costs, a line a fit; empty where the run is no sweep. */
export function fitTable(run: BenchmarkRun, style: Style): string {
  if (run.fits.length === 0) return ''
  const labels = subjectLabels(run.subjects, 14)
  const axes = [...new Set(run.fits.map(({ axis }) => axis))]
  return tableToText(
    {
      columns: [
        { title: 'line through' },
        { title: '' },
        { title: 'at 0 [95 %]' },
        { title: `more for one of ${axes.join(', ')} [95 %]` },
      ],
      rows: run.fits.map(({ subject, phase, test, fixed, slope }) => [
        labels[subject.index] ?? subject.name,
        test ?? phase.toLowerCase(),
        estimate(fixed),
        estimate(slope),
      ]),
    },
    { head: style.bold, width: 80 },
  )
}

function estimate({ value, interval }: Estimate): string {
  return interval === null ? time(value) : `${time(value)} [${time(interval.low)}, ${time(interval.high)}]`
}

/** Slopes are often nanoseconds a token. */
function time(milliseconds: number): string {
  const size = Math.abs(milliseconds)
  if (size > 0 && size < 1e-3) return `${(milliseconds * 1e6).toPrecision(3)} ns`
  return formatMilliseconds(milliseconds)
}
