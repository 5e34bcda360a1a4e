import type { RunRow, StoredSeries, SubjectRow } from '../../db/rows.ts'
import { AppError } from '../../errors.ts'
import { type CompareOptions, compareSeries, compareSubjects } from '../../stats/compare-series.ts'
import type { ComparedSeries, ComparedSource } from '../rows.ts'
import { environmentOf } from './run.ts'

/** A run with what its comparison needs. */
export interface MeasuredRun {
  run: RunRow
  subjects: readonly SubjectRow[]
  series: readonly StoredSeries[]
}

const mostCandidates = 10

/** Every series of each candidate against the baseline's. */
export function compareRuns(
  baseline: MeasuredRun,
  candidates: readonly MeasuredRun[],
  options: CompareOptions,
): { rows: ComparedSeries[]; reasons: string[] } {
  const before = comparable(baseline)
  const rows = candidates.flatMap((candidate) =>
    compareSeries(before, comparable(candidate), options).map((row) => ({ ...row, candidateId: candidate.run.id })),
  )
  return { rows, reasons: candidates.flatMap((candidate) => wholeReasons(baseline, candidate)) }
}

/**
 * Every other subject of a run against one of them.
 * @throws AppError VALIDATION_FAILED where the run has no subject of that index, or for a margin that is no share
 */
export function compareWithin(measured: MeasuredRun, baselineIndex: number, margin: number): ComparedSeries[] {
  checkMargin(margin)
  const baseline = measured.subjects.find((subject) => subject.index === baselineIndex)
  if (baseline === undefined) {
    throw new AppError(
      'VALIDATION_FAILED',
      `the run has no subject ${baselineIndex}`,
      `Its subjects are numbered from 0 to ${measured.subjects.length - 1}.`,
    )
  }
  const rows = compareSubjects(comparable(measured), baseline.name, { margin })
  return rows.map((row) => ({ ...row, candidateId: measured.run.id }))
}

/** @throws AppError where the request names no candidate, too many, or a margin that is no share */
export function checkComparison(candidates: readonly string[], margin: number): void {
  if (candidates.length === 0) {
    throw new AppError('VALIDATION_FAILED', 'candidates is empty', `Name 1 to ${mostCandidates} runs.`)
  }
  if (candidates.length > mostCandidates) {
    throw new AppError(
      'LIMIT_EXCEEDED',
      `${candidates.length} candidates were named`,
      `Name at most ${mostCandidates} runs.`,
    )
  }
  checkMargin(margin)
}

function checkMargin(margin: number): void {
  if (margin >= 0 && margin < 1) return
  throw new AppError('VALIDATION_FAILED', `margin is ${margin}`, 'It is a share from 0 to below 1: 0.02 is 2 %.')
}

function comparable({ run, subjects, series }: MeasuredRun): ComparedSource[] {
  const environment = environmentOf(run)
  return series.flatMap((row) => {
    const subject = subjects.find((one) => one.index === row.subjectIndex)
    if (subject === undefined) return []
    return {
      row,
      runId: run.id,
      subjectName: subject.name,
      fingerprint: subject.fingerprint,
      dtype: subject.dtype,
      computeDtype: subject.computeDtype,
      device: subject.device,
      runtime: subject.runtime,
      threads: subject.threads,
      hostname: environment?.hostname ?? run.hostname,
      cpu: environment?.cpu ?? null,
      cores: environment?.cores ?? null,
      timingVersion: environment?.timingVersion ?? null,
      onnxruntime: environment?.onnxruntime ?? null,
      phase: row.phase,
      test: row.test,
      promptTokens: row.promptTokens,
      generatedTokens: row.generatedTokens,
      batch: row.batch,
      samples: row.samples,
      kvCacheBytes: row.kvCacheBytes,
      peakMemoryBytes: row.peakMemoryBytes,
    }
  })
}

function wholeReasons(baseline: MeasuredRun, candidate: MeasuredRun): string[] {
  const { id } = candidate.run
  const reasons: string[] = []
  for (const { run, series } of [baseline, candidate]) {
    if (series.length === 0) reasons.push(`run ${run.id} has no series: it is ${run.status}`)
  }
  const before = environmentOf(baseline.run)?.hostname ?? null
  const after = environmentOf(candidate.run)?.hostname ?? null
  if (before !== null && after !== null && before !== after) {
    reasons.push(`machine differs: ${before} in the baseline, ${after} in run ${id}`)
  }
  return reasons
}
