import { z } from 'zod'
import { readWarnings } from '../../db/results.ts'
import type { RunRow, StoredSeries, SubjectRow } from '../../db/rows.ts'
import { sweepAxes } from '../../jobs/glossary.ts'
import { fitLine, type LinearFit } from '../../stats/linear-fit.ts'
import {
  findSweep,
  regressorOf,
  type Sweep,
  type SweepAxis,
  type SweepLine,
  type SweptSubject,
  timesOf,
} from '../../stats/sweep-axis.ts'
import { modelOf } from './run.ts'

export interface RunSweep extends Sweep<StoredSeries> {
  /** sample i of every point of a line was taken in block i */
  sharesBlocks: boolean
}

type SweptRun = Pick<RunRow, 'spec' | 'warnings'>

/** The sweep that a benchmark is, asked for as one or not; null where its series lie along no axis. */
export function sweepOf(
  run: SweptRun,
  subjects: readonly SubjectRow[],
  series: readonly StoredSeries[],
): RunSweep | null {
  const declared = declaredAxis(run)
  const sweep = findSweep(series, subjects.map(sweptSubject), declared)
  return sweep && { ...sweep, sharesBlocks: sharesBlocks(sweep.axis, declared, run) }
}

/**
 * Subjects always share their test's blocks. Tests share them where the sweep was asked for, so that they were multiplied
 * to be its points, and all their caches fitted; tests that only happen to lie on a line were timed one after the other.
 */
function sharesBlocks(axis: SweepAxis, declared: SweepAxis | null, { warnings }: SweptRun): boolean {
  if (axis === 'KV_HEADS' || axis === 'THREADS') return true
  return declared === axis && !readWarnings(warnings).some(({ code }) => code === 'SWEEP_APART')
}

const sweepInSpec = z.object({ sweep: z.object({ axis: z.enum(sweepAxes) }) })

function declaredAxis({ spec }: Pick<SweptRun, 'spec'>): SweepAxis | null {
  return sweepInSpec.safeParse(spec).data?.sweep.axis ?? null
}

function sweptSubject(subject: SubjectRow): SweptSubject {
  const { name, family, layers, heads, keyDim, hiddenSize, vocabularySize } = modelOf(subject)
  const { device, runtime, dtype, computeDtype, synthetic } = subject
  const model = [subject.modelName, name, family, layers, heads, keyDim, hiddenSize, vocabularySize]
  return {
    index: subject.index,
    identity: JSON.stringify([...model, device, runtime, dtype, computeDtype, synthetic]),
    kvHeads: subject.kvHeads,
    threads: subject.threads,
  }
}

/** The straight line of a sweep's line, curved or not; null under three points. */
export function fitOf({ axis, sharesBlocks }: RunSweep, { points }: SweepLine<StoredSeries>): LinearFit | null {
  const fitted = points.map(({ value, series }) => ({
    x: regressorOf(axis, value, series),
    samples: timesOf(axis, series),
  }))
  return fitLine(fitted, { paired: sharesBlocks })
}
