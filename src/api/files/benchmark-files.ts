import type { Router } from 'express'
import { z } from 'zod'
import { findSeries } from '../../db/results.ts'
import { findSubjects } from '../../db/run-parts.ts'
import { AppError } from '../../errors.ts'
import { phases } from '../../jobs/glossary.ts'
import type { Phase } from '../../stats/measured-series.ts'
import { sweepOf } from '../presenters/sweep.ts'
import { type AskedFile, type FileServices, fileOptions, serveFile } from './file-route.ts'
import { type PictureFormat, type PictureOptions, pictureFile, pictureFormat, pictureShape } from './picture-file.ts'
import type { RunFile } from './send-file.ts'
import { phasesOf, sweepPicture } from './sweep-picture.ts'

/** The picture of a benchmark that is a sweep. */
export function serveBenchmarkFiles(router: Router, services: FileServices): void {
  serveFile(router, services, {
    path: '/chart.:format',
    kinds: ['BENCHMARK'],
    place: z.object({ format: pictureFormat }),
    options: fileOptions({
      ...pictureShape,
      phase: z.enum(phases, { error: `it is one of ${phases.join(', ')}` }).optional(),
    }),
    answer: sweepChart,
  })
}

async function sweepChart({
  services,
  run,
  place: { format },
  options,
}: AskedFile<{ format: PictureFormat }, PictureOptions & { phase?: Phase | undefined }>): Promise<RunFile> {
  const [subjects, series] = await Promise.all([findSubjects(services.db, [run.id]), findSeries(services.db, [run.id])])
  const own = subjects.get(run.id) ?? []
  const ofAttempt = (series.get(run.id) ?? []).filter(({ attempt }) => attempt === run.attempt)
  const sweep = sweepOf(run, own, ofAttempt)
  if (sweep === null) {
    throw new AppError(
      'NOT_FOUND',
      `run ${run.id} is no sweep, so it has no picture of one`,
      run.status === 'SUCCEEDED'
        ? 'Start a benchmark with a sweep, or with three tests that differ in one size alone.'
        : `The run is ${run.status}: a picture needs two points.`,
    )
  }
  const shown = phasesOf(sweep)
  const phase = options.phase ?? shown[0]
  if (phase === undefined || !shown.includes(phase)) {
    throw new AppError('NOT_FOUND', `the sweep of run ${run.id} has no ${phase}`, `It has ${shown.join(', ')}.`)
  }
  const picture = { ...sweepPicture(run, own, sweep, phase), theme: options.theme }
  return pictureFile(services.drawing, { of: 'lines', picture }, format, options, `sweep-${phase.toLowerCase()}`)
}
