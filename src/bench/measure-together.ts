import type { BenchmarkSpec } from '../jobs/spec.ts'
import type { RunnableModel } from '../models/runner.ts'
import type { MeasuredSeries } from '../stats/measured-series.ts'
import { type Random, shuffled } from '../stats/random.ts'
import { clockResolution, now } from './clock.ts'
import { predictPeak } from './estimate.ts'
import { orderWarnings } from './guard-order.ts'
import { loadSubjects } from './load-subjects.ts'
import { measureInterleaved, type TrialMeter, timeLimit } from './measure.ts'
import type { PreparedSubject } from './open-subjects.ts'
import { describeTest, describeTests, expectedCost, type PlannedTest, testOfSubject } from './plan.ts'
import type { Report } from './progress.ts'
import type { SubjectPlan } from './subject-config.ts'
import { testSeries } from './test-series.ts'
import { testTrial } from './trial.ts'

export interface MeasureContext {
  spec: BenchmarkSpec
  subjects: readonly PreparedSubject[]
  plans: readonly SubjectPlan[]
  tests: readonly PlannedTest[]
  /** threads of a subject that names none */
  cores: number
  random: Random
  meter: TrialMeter
  beforeTrial(): void | Promise<void>
  store(rows: MeasuredSeries[]): Promise<void>
  /** reports of a part of the measuring, whose 0 to 1 becomes `from` to `to` of the whole */
  share(from: number, to: number): Report
}

/**
 * Loads every subject (LOAD, COLD), and then times each group of tests with its tests and the subjects interleaved.
 * @param groups the tests that share blocks
 */
export async function measureTogether(
  context: MeasureContext,
  groups: readonly (readonly PlannedTest[])[],
): Promise<void> {
  const { spec, subjects, plans, cores, random, store, share } = context
  const loaded = new Map<number, RunnableModel>()
  try {
    const indices = [...subjects.keys()]
    const order = spec.order === 'GIVEN' ? indices : shuffled(indices, random)
    const predict = (subject: number, promptTokens: number | null) => {
      const present = order.slice(0, order.indexOf(subject) + 1)
      const test = promptTokens === null ? null : { promptTokens, generatedTokens: 0, depth: 0, batch: 1 }
      return predictPeak(plans, { present, done: test === null ? [] : [test], cached: [] })
    }
    await loadSubjects(subjects, { plans, cores, order, loaded, predictPeak: predict, store, report: share(0, 0.1) })
    const models = [...loaded].sort(([a], [b]) => a - b).map(([, model]) => model)
    const costs = groups.map((tests) => tests.reduce((sum, test) => sum + expectedCost(test, spec.blocks), 0))
    const total = costs.reduce((sum, cost) => sum + cost, 0)
    let done = 0
    for (const [index, tests] of groups.entries()) {
      const cost = costs[index] ?? 0
      const report = share(0.1 + (0.9 * done) / total, 0.1 + (0.9 * (done + cost)) / total)
      await store(await measureGroup(tests, groups.slice(0, index + 1).flat(), models, report, context))
      done += cost
    }
  } finally {
    for (const model of loaded.values()) await model.close()
  }
}

/** Every block times each subject in each of the tests once, all of them in one order. */
async function measureGroup(
  tests: readonly PlannedTest[],
  done: readonly PlannedTest[],
  models: readonly RunnableModel[],
  report: Report,
  { spec, subjects, plans, random, meter, beforeTrial }: MeasureContext,
): Promise<MeasuredSeries[]> {
  const trials = tests.map((test) =>
    models.map((model, index) => {
      const prompt = test.phase === 'FORWARD' ? (subjects[index]?.prompt ?? null) : null
      return testTrial(model, testOfSubject(test, prompt), spec.seed, prompt)
    }),
  )
  for (const [at, test] of tests.entries()) {
    for (const [index, trial] of trials[at]?.entries() ?? []) {
      const filling = `${describeTest(test)}: filling the K/V cache of ${subjects[index]?.name}`
      if (test.depth > 0) await report(0, filling)
      await trial.fill()
    }
  }
  const name = describeTests(tests)
  const options = {
    maxMilliseconds: spec.maxSeconds === null ? null : spec.maxSeconds * 1000,
    targetPrecision: spec.targetPrecision,
  }
  const start = now()
  const { samples, places, warmUpUnfinished } = await measureInterleaved(trials.flat(), {
    ...options,
    tests: tests.length,
    blocks: spec.blocks,
    order: spec.order,
    warmUp: spec.warmUp,
    random,
    meter,
    beforeTrial,
    onBlock: (block, fraction, precision) => report(fraction, `${name}: ${blockMessage(block, precision, spec)}`),
  })
  const everyone = [...subjects.keys()]
  const limit = timeLimit(options)
  const spent = (now() - start) / tests.length
  const ofOrder = spec.order === 'GIVEN' ? [] : orderWarnings(name, samples, places)
  const peak = predictPeak(plans, { present: everyone, done, cached: tests })
  return tests.flatMap((test, at) => {
    const own = <T>(list: readonly T[]) => list.slice(at * subjects.length, (at + 1) * subjects.length)
    return testSeries(
      {
        test,
        samples: own(samples),
        warmUpUnfinished: own(warmUpUnfinished),
        observed: (trials[at] ?? []).map((trial) => trial.observed()),
        peaksPredicted: everyone.map(() => peak),
        spent,
        ofOrder,
      },
      plans,
      subjects.map(({ prompt }) => prompt),
      { ...spec, maxSeconds: limit === null ? null : limit / 1000, clockResolution: clockResolution() },
    )
  })
}

/** `warming up`, `block 3 of 10`, `block 12, within 3.4 % (asked for: 2.0 %)`. */
export function blockMessage(
  block: number,
  precision: number | null,
  { blocks, targetPrecision }: Pick<BenchmarkSpec, 'blocks' | 'targetPrecision'>,
): string {
  if (block === 0) return 'warming up'
  if (targetPrecision === null) return `block ${block} of ${blocks}`
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`
  if (precision === null || !Number.isFinite(precision))
    return `block ${block}, until within ${percent(targetPrecision)}`
  return `block ${block}, within ${percent(precision)} (asked for: ${percent(targetPrecision)})`
}
