import type { MeasuredSeries, Warning } from '../stats/measured-series.ts'
import { type PlannedTest, testOfSubject } from './plan.ts'
import { precisionOf } from './precision.ts'
import type { SubjectPlan } from './subject-config.ts'
import { subjectCost } from './subject-cost.ts'
import type { ObservedBytes } from './trial.ts'
import { seriesWarnings } from './warnings.ts'

/** What the trials of one test left behind, all lists by subject. */
export interface TestOutcome {
  test: PlannedTest
  /** [subject][block], milliseconds */
  samples: readonly number[][]
  warmUpUnfinished: readonly boolean[]
  observed: readonly ObservedBytes[]
  /** as estimated before anything was loaded */
  peaksPredicted: readonly number[]
  /** milliseconds of warm-up and blocks together; of tests that share blocks, their mean */
  spent: number
  ofOrder: Warning[]
}

export interface SeriesContext {
  blocks: number
  /** null: no time was set */
  maxSeconds: number | null
  targetPrecision: number | null
  /** milliseconds */
  clockResolution: number
}

/** The rows of one test, one a subject, with the warnings that the trials give reason for. */
export function testSeries(
  outcome: TestOutcome,
  plans: readonly SubjectPlan[],
  prompts: readonly (readonly number[] | null)[],
  context: SeriesContext,
): MeasuredSeries[] {
  const { test, samples, spent, ofOrder } = outcome
  const { targetPrecision: target } = context
  const reached = target === null ? [] : precisionOf(samples)
  return plans.map((plan, subjectIndex) => {
    const own = samples[subjectIndex] ?? []
    const bytes = outcome.observed[subjectIndex]
    const ownTest = testOfSubject(test, prompts[subjectIndex] ?? null)
    const warnings: Warning[] = seriesWarnings(test, own, {
      blocks: context.blocks,
      maxSeconds: context.maxSeconds,
      clockResolution: context.clockResolution,
      warmUpUnfinished: outcome.warmUpUnfinished[subjectIndex] ?? false,
      precision: target === null ? null : { target, reached: reached[subjectIndex] ?? 0, spent },
    })
    return {
      subjectIndex,
      phase: test.phase,
      test: test.test,
      promptTokens: ownTest.promptTokens,
      generatedTokens: test.generatedTokens,
      depth: test.depth,
      batch: test.batch,
      samples: own,
      kvCacheBytes: bytes?.kvCache ?? null,
      kvCacheBytesPredicted: bytes?.kvCachePredicted ?? null,
      kvCacheBytesAllocated: bytes?.kvCacheAllocated ?? null,
      peakMemoryBytes: bytes?.peakMemory ?? null,
      peakMemoryBytesPredicted: outcome.peaksPredicted[subjectIndex] ?? null,
      ...subjectCost(plan, ownTest),
      warnings: [...warnings, ...ofOrder],
    }
  })
}
