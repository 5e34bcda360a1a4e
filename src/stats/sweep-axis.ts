import type { Phase } from './measured-series.ts'

/** What a sweep varies; everything else of its tests and subjects stays. */
export type SweepAxis = 'DEPTH' | 'PROMPT_TOKENS' | 'BATCH' | 'KV_HEADS' | 'THREADS'

/** What is looked at of a series; more fields do no harm. */
export interface SweptSeries {
  subjectIndex: number
  phase: Phase
  /** llama-bench's name; empty for load, cold and forward */
  test: string
  promptTokens: number
  generatedTokens: number
  depth: number
  batch: number
  /** milliseconds of one whole trial each */
  samples: readonly number[]
}

export interface SweptSubject {
  index: number
  /** the same for subjects that differ in K/V heads or threads alone */
  identity: string
  /** null where keys and values are no head's own (MLA), or layers differ */
  kvHeads: number | null
  /** null where it is not known yet */
  threads: number | null
}

/** Points of one line: everything of them is the same but the value on the axis. */
export interface SweepLine<S> {
  /** the first of them where the axis is one of subjects */
  subjectIndex: number
  phase: Phase
  /** the test with * for what varies, such as `tg32 @ d*`; empty for the forward phase */
  test: string
  /** by rising value */
  points: { value: number; series: S }[]
}

export interface Sweep<S> {
  axis: SweepAxis
  lines: SweepLine<S>[]
}

/** A line through two points fits whatever they are: as many tell whether a run was meant as a sweep. */
export const fewestPoints = 3

const testAxes = ['DEPTH', 'PROMPT_TOKENS', 'BATCH'] as const
const axes: readonly SweepAxis[] = [...testAxes, 'KV_HEADS', 'THREADS']

/**
 * The axis along which a run's series differ, and their lines. A run whose spec says so is a sweep from two points on;
 * another is one where at least three of its series differ along one axis only: the first of depth, prompt tokens,
 * batch, K/V heads and threads that has such a line. Load and the cold forward are measured once and belong to none.
 * @param declared the axis that the run's spec names; null: none
 * @returns null where no line has enough points
 */
export function findSweep<S extends SweptSeries>(
  series: readonly S[],
  subjects: readonly SweptSubject[],
  declared: SweepAxis | null,
): Sweep<S> | null {
  const fewest = declared === null ? fewestPoints : 2
  for (const axis of declared === null ? axes : [declared]) {
    const lines = linesAlong(axis, series, subjects).filter(
      ({ points }) => new Set(points.map(({ value }) => value)).size >= fewest,
    )
    if (lines.length > 0) return { axis, lines }
  }
  return null
}

function linesAlong<S extends SweptSeries>(
  axis: SweepAxis,
  series: readonly S[],
  subjects: readonly SweptSubject[],
): SweepLine<S>[] {
  const lines = new Map<string, SweepLine<S>>()
  for (const one of series) {
    const subject = subjects.find(({ index }) => index === one.subjectIndex)
    if (subject === undefined || one.samples.length === 0 || !hasPlace(axis, one)) continue
    const value = valueOn(axis, one, subject)
    if (value === null) continue
    const key = JSON.stringify([one.phase, ...whoseOf(axis, subject), ...whatOf(axis, one)])
    const line = lines.get(key)
    if (line !== undefined) line.points.push({ value, series: one })
    else {
      const { subjectIndex, phase } = one
      lines.set(key, { subjectIndex, phase, test: starredTest(axis, one.test), points: [{ value, series: one }] })
    }
  }
  for (const { points } of lines.values()) points.sort((a, b) => a.value - b.value)
  return [...lines.values()]
}

function hasPlace(axis: SweepAxis, { phase, promptTokens }: SweptSeries): boolean {
  if (phase === 'LOAD' || phase === 'COLD') return false
  if (axis === 'PROMPT_TOKENS') return phase !== 'FORWARD' && promptTokens > 0
  return phase !== 'FORWARD' || axis === 'KV_HEADS' || axis === 'THREADS'
}

function valueOn(axis: SweepAxis, series: SweptSeries, subject: SweptSubject): number | null {
  switch (axis) {
    case 'DEPTH':
      return series.depth
    case 'PROMPT_TOKENS':
      return series.promptTokens
    case 'BATCH':
      return series.batch
    case 'KV_HEADS':
      return subject.kvHeads
    case 'THREADS':
      return subject.threads
  }
}

/** What must be the same of subjects on one line. */
function whoseOf(axis: SweepAxis, { index, identity, kvHeads, threads }: SweptSubject) {
  if (axis === 'KV_HEADS') return [identity, threads]
  return axis === 'THREADS' ? [identity, kvHeads] : [index]
}

/** What must be the same of tests on one line. */
function whatOf(axis: SweepAxis, { promptTokens, generatedTokens, depth, batch }: SweptSeries) {
  return [
    generatedTokens,
    axis === 'PROMPT_TOKENS' ? null : promptTokens,
    axis === 'DEPTH' ? null : depth,
    axis === 'BATCH' ? null : batch,
  ]
}

function starredTest(axis: SweepAxis, test: string): string {
  switch (axis) {
    case 'DEPTH':
      return test.replace(/( @ d\d+)?( x\d+)?$/, ' @ d*$2')
    case 'PROMPT_TOKENS':
      return test.replace(/^pp\d+/, 'pp*')
    case 'BATCH':
      return test.replace(/( x\d+)?$/, ' x*')
    case 'KV_HEADS':
    case 'THREADS':
      return test
  }
}

/** What a fit's line stands on and in which unit its slope is. */
export const fittedAgainst: Record<SweepAxis, { axis: string; unit: string }> = {
  DEPTH: { axis: 'cached tokens', unit: 'ms per cached token' },
  PROMPT_TOKENS: { axis: 'prompt tokens', unit: 'ms per prompt token' },
  BATCH: { axis: 'sequences', unit: 'ms per sequence' },
  KV_HEADS: { axis: 'K/V heads', unit: 'ms per K/V head' },
  THREADS: { axis: '1 / threads', unit: 'ms on one thread' },
}

/**
 * What the time of a point is linear in. Along depth: the tokens that are in the cache when one is processed, mean over
 * the n tokens of a trial: depth + (n - 1) / 2. Threads: their reciprocal, as a share of the work is divided among them
 * and the rest is not (Amdahl, "Validity of the single processor approach", AFIPS 1967). The others: the value itself.
 */
export function regressorOf(axis: SweepAxis, value: number, series: SweptSeries): number {
  if (axis === 'DEPTH') return value + (tokensOf(series) - 1) / 2
  return axis === 'THREADS' ? 1 / value : value
}

/**
 * Milliseconds of each trial as a sweep over the axis tells them: of one token of each sequence, and along prompt tokens,
 * which would hide in a token's time what a prompt costs, of the whole trial.
 */
export function timesOf(axis: SweepAxis, series: SweptSeries): number[] {
  const tokens = axis === 'PROMPT_TOKENS' ? 1 : tokensOf(series)
  return series.samples.map((sample) => sample / tokens)
}

const tokensOf = ({ promptTokens, generatedTokens }: SweptSeries) => Math.max(1, promptTokens + generatedTokens)
