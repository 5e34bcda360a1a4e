import { z } from 'zod'
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

export type RunSweep = Sweep<StoredSeries>

/** The sweep that a benchmark is, asked for as one or not; null where its series lie along no axis. */
export function sweepOf(
  run: Pick<RunRow, 'spec'>,
  subjects: readonly SubjectRow[],
  series: readonly StoredSeries[],
): RunSweep | null {
  return findSweep(series, subjects.map(sweptSubject), declaredAxis(run))
}

const sweepInSpec = z.object({ sweep: z.object({ axis: z.enum(sweepAxes) }) })

function declaredAxis({ spec }: Pick<RunRow, 'spec'>): SweepAxis | null {
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
export function fitOf(axis: SweepAxis, { points }: SweepLine<StoredSeries>): LinearFit | null {
  const fitted = points.map(({ value, series }) => ({
    x: regressorOf(axis, value, series),
    samples: timesOf(axis, series),
  }))
  // Subjects are timed within the same blocks, tests one after the other.
  return fitLine(fitted, { paired: axis === 'KV_HEADS' || axis === 'THREADS' })
}
