import type { Style } from '../../render/style.ts'
import { tableToText } from '../../render/table.ts'
import { formatDecimalBytes, formatPercent } from '../../render/units.ts'
import type { BenchmarkRun, Series } from '../benchmark-run.ts'
import { groupSeries, stepsOf, subjectLabels } from '../run-labels.ts'

/**
 * What one step of each test must read, how much of that is K/V cache, and how near the time comes to what the machine
 * allows; empty where nothing of it is known.
 */
export function whereTimeGoes(run: BenchmarkRun, style: Style): string {
  const labels = subjectLabels(run.subjects, 16)
  const known = groupSeries(run)
    .flat()
    .filter((series) => series.test !== null && series.bytesRead !== null)
  if (known.length === 0) return ''
  return tableToText(
    {
      columns: [
        { title: 'where time goes' },
        { title: 'test' },
        { title: 'read a step', align: 'right' },
        { title: 'of it K/V', align: 'right' },
        { title: 'bandwidth', align: 'right' },
        { title: 'compute', align: 'right' },
      ],
      rows: known.map((series) => [
        labels[series.subject.index] ?? '',
        series.test ?? '',
        series.bytesRead === null ? '' : formatDecimalBytes(series.bytesRead / stepsOf(series)),
        share(series.kvShareOfBytes),
        share(series.shareOfBandwidthBound),
        share(series.shareOfComputeBound),
      ]),
    },
    { head: style.bold, width: 80 },
  )
}

function share(value: Series['kvShareOfBytes']): string {
  return value === null ? '–' : formatPercent(value)
}
