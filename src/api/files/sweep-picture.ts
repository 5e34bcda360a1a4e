import type { RunRow, StoredSeries, SubjectRow } from '../../db/rows.ts'
import type { LineChartPicture } from '../../render/line-chart.ts'
import type { ChartLine } from '../../render/line-chart-line.ts'
import { formatMilliseconds } from '../../render/units.ts'
import type { Phase } from '../../stats/measured-series.ts'
import { median } from '../../stats/quantile.ts'
import { medianInterval } from '../../stats/summary.ts'
import { fittedAgainst, regressorOf, type SweepAxis, type SweepLine, timesOf } from '../../stats/sweep-axis.ts'
import { environmentOf } from '../presenters/run.ts'
import { fitOf, type RunSweep } from '../presenters/sweep.ts'

/** Which phase is shown where none is asked for: the first of these that was measured. */
const shownFirst: readonly Phase[] = ['DECODE', 'PREFILL', 'COMBINED', 'FORWARD']

/** The phases that a sweep can show, the one that is shown unasked first. */
export function phasesOf({ lines }: RunSweep): Phase[] {
  return shownFirst.filter((phase) => lines.some((line) => line.phase === phase))
}

const across: Record<SweepAxis, string> = {
  DEPTH: 'tokens in the cache, mean over the tokens of a trial',
  PROMPT_TOKENS: 'prompt tokens',
  BATCH: 'sequences side by side',
  KV_HEADS: 'K/V heads',
  THREADS: 'threads',
}
const along: Record<SweepAxis, string> = {
  DEPTH: 'depth',
  PROMPT_TOKENS: 'prompt length',
  BATCH: 'batch',
  KV_HEADS: 'K/V heads',
  THREADS: 'threads',
}
const formula: Record<SweepAxis, string> = {
  DEPTH: 'fixed cost + slope x cached tokens',
  PROMPT_TOKENS: 'fixed cost + slope x prompt tokens',
  BATCH: 'fixed cost + slope x sequences',
  KV_HEADS: 'fixed cost + slope x K/V heads',
  THREADS: 'fixed cost + shared work / threads',
}

/** The picture of one phase of a sweep: a line a subject and test. */
export function sweepPicture(
  run: RunRow,
  subjects: readonly SubjectRow[],
  sweep: RunSweep,
  phase: Phase,
): Omit<LineChartPicture, 'theme'> {
  const { axis, lines } = sweep
  const shown = lines.filter((line) => line.phase === phase)
  const ownSubjects = subjects.filter(({ index }) =>
    shown.some(({ points }) => points.some(({ series }) => series.subjectIndex === index)),
  )
  const tests = [...new Set(shown.map(({ test }) => test))].filter((test) => test !== '')
  const drawn = shown.map((line) => chartLine(sweep, line, subjects, { tests: tests.length > 1 }))
  const time = timeName(axis)
  const what = [phase.toLowerCase(), ...(tests.length === 1 ? tests : [])].join(' ')
  const synthetic = ownSubjects.filter((subject) => subject.synthetic)
  return {
    title: `${time} by ${along[axis]}: ${what}`,
    notes: [
      originNote(run, ownSubjects),
      `Marks: medians, with bands for their 95 % bootstrap intervals.${fitNote(axis, drawn)}`,
      ...(synthetic.length === 0 || synthetic.length === ownSubjects.length
        ? []
        : [`Weights made from a seed: ${synthetic.map(({ name }) => name).join(', ')}.`]),
      ...(run.status === 'SUCCEEDED' ? [] : [`Not finished: the run is ${run.status}.`]),
    ],
    synthetic: synthetic.length > 0,
    across: across[axis],
    ownValues: axis !== 'DEPTH' && axis !== 'PROMPT_TOKENS',
    upright: time.toLowerCase(),
    lines: drawn,
  }
}

function timeName(axis: SweepAxis): string {
  if (axis === 'PROMPT_TOKENS') return 'Time of a trial'
  return axis === 'BATCH' ? 'Time of one token of each sequence' : 'Time of one token'
}

/** Where a line was left out because the points bend, the picture says so: a line not drawn is a finding too. */
function fitNote(axis: SweepAxis, lines: readonly (ChartLine & { curved: boolean })[]): string {
  const fitted = lines.some(({ fit }) => fit !== null)
  const curved = lines.some((line) => line.curved)
  return [
    ...(fitted ? [` Thin lines: ${formula[axis]}.`] : []),
    ...(curved ? [' Where points bend from a line beyond noise, none is drawn.'] : []),
  ].join('')
}

function originNote(run: RunRow, subjects: readonly SubjectRow[]): string {
  const environment = environmentOf(run)
  const machine = environment === null ? null : `${environment.cpu} (${environment.hostname})`
  const threads = new Set(subjects.map((subject) => subject.threads))
  const [only] = threads
  const count = threads.size === 1 && only != null ? `${only} thread${only === 1 ? '' : 's'}` : null
  const devices = [...new Set(subjects.map(({ device }) => device))].join(' and ')
  const where = [machine, devices, count].filter((part) => part !== null).join(', ')
  return `${where}. Run ${run.id}`
}

function chartLine(
  sweep: RunSweep,
  line: SweepLine<StoredSeries>,
  subjects: readonly SubjectRow[],
  { tests }: { tests: boolean },
): ChartLine & { curved: boolean } {
  const subjectOf = (series: StoredSeries) => subjects.find(({ index }) => index === series.subjectIndex)
  const { axis } = sweep
  const fit = fitOf(sweep, line)
  const straight = fit === null || fit.curved ? null : fit
  const points = line.points.map(({ value, series }) => {
    const samples = timesOf(axis, series)
    const interval = medianInterval(samples)
    return {
      x: axis === 'DEPTH' ? regressorOf(axis, value, series) : value,
      median: median(samples),
      interval: interval && { low: interval.low, high: interval.high },
      samples,
      kind: subjectOf(series)?.attentionKind ?? 'MHA',
    }
  })
  return {
    label: labelOf(
      axis,
      subjects.find(({ index }) => index === line.subjectIndex),
      tests ? line.test : '',
    ),
    detail: straight && slopeText(axis, straight.slope),
    points,
    fit: straight && { fixed: straight.fixed.value, slope: straight.slope.value, reciprocal: axis === 'THREADS' },
    curved: fit?.curved ?? false,
  }
}

/** The subject's name with its kind in words, as colours alone tell nobody. */
function labelOf(axis: SweepAxis, subject: SubjectRow | undefined, test: string): string {
  if (subject === undefined) return test
  const { name, modelName, attentionKind, kvHeads } = subject
  const heads = kvHeads === null ? '' : `, ${kvHeads} K/V head${kvHeads === 1 ? '' : 's'}`
  const whose = axis === 'KV_HEADS' ? modelName : `${axis === 'THREADS' ? modelName : name} (${attentionKind}${heads})`
  return test === '' ? whose : `${whose}, ${test}`
}

/** `+ 1.24 µs per cached token [1.10 µs, 1.39 µs]`, the interval in one piece. */
function slopeText(
  axis: SweepAxis,
  { value, interval }: { value: number; interval: { low: number; high: number } | null },
): string {
  const unit = fittedAgainst[axis].unit.replace(/^ms /, '')
  const within = interval && `[${formatMilliseconds(interval.low)}, ${formatMilliseconds(interval.high)}]`
  const whole = within === null ? '' : ` ${within.replaceAll(' ', '\u00a0')}`
  return `${value < 0 ? '' : '+ '}${formatMilliseconds(value)} ${unit}${whole}`
}
