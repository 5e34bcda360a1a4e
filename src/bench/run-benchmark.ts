import type { BenchmarkSpec } from '../jobs/spec.ts'
import type { RunnableModel } from '../models/runner.ts'
import type { MeasuredSeries } from '../stats/measured-series.ts'
import { seededRandom } from '../stats/random.ts'
import { clockResolution } from './clock.ts'
import { finishEnvironment, readEnvironment } from './environment.ts'
import { keyFigureOf } from './key-figure.ts'
import { ensureMemory, ensureTestsFit } from './limits.ts'
import { loadSubjects } from './load-subjects.ts'
import { type MeasureOptions, measureInterleaved } from './measure.ts'
import { availableMemory } from './memory.ts'
import type { SubjectPlaces } from './open-subject.ts'
import { openSubjects, type PreparedSubject } from './open-subjects.ts'
import { describeTest, expectedCost, type PlannedTest, planTests, testOfSubject } from './plan.ts'
import { progressOf, type Report } from './progress.ts'
import type { BenchmarkOutcome, BenchSink } from './result.ts'
import { planSubject } from './subject-config.ts'
import { testTrial } from './trial.ts'
import { runWarnings, seriesWarnings } from './warnings.ts'

/**
 * Runs a benchmark in this process: checks what the spec asks for against models and machine, opens the checkpoints,
 * loads every subject (LOAD, COLD), then times each test with the subjects interleaved. Rows go to the sink as they
 * come, never during a timed trial, which waits until the sink has taken them.
 * @throws AppError CONTEXT_EXCEEDED or OUT_OF_MEMORY before any weight is loaded; those of opening and running a model
 */
export async function runBenchmark(
  spec: BenchmarkSpec,
  places: SubjectPlaces,
  sink: BenchSink,
): Promise<BenchmarkOutcome> {
  const environment = readEnvironment()
  const plans = await Promise.all(spec.subjects.map((subject) => planSubject(subject, places.modelRoots)))
  ensureTestsFit(spec, plans)
  ensureMemory(spec, plans)

  const progress = progressOf(sink)
  const subjects = await openSubjects(spec, plans, places, progress.share(0, 0.2))
  const prompts = subjects.map(({ prompt }) => prompt?.length ?? null)
  ensureMemory(spec, plans, availableMemory(), prompts)
  await sink.subjects(subjects.map((subject) => subject.opened))
  const warnings = runWarnings(subjects, environment)

  const series: MeasuredSeries[] = []
  const store = async (rows: MeasuredSeries[]) => {
    series.push(...rows)
    await sink.series(rows)
  }
  const random = seededRandom(spec.seed)
  const loaded = new Map<number, RunnableModel>()
  try {
    await loadSubjects(subjects, { cores: environment.cores, random, loaded, store, report: progress.share(0.2, 0.3) })
    const models = [...loaded].sort(([a], [b]) => a - b).map(([, model]) => model)
    const tests = planTests(spec, longest(prompts))
    const costs = tests.map((test) => expectedCost(test, spec.blocks))
    const total = costs.reduce((sum, cost) => sum + cost, 0)
    let done = 0
    for (const [index, test] of tests.entries()) {
      const cost = costs[index] ?? 0
      const report = progress.share(0.3 + (0.7 * done) / total, 0.3 + (0.7 * (done + cost)) / total)
      const beforeTrial = () => sink.beforeTrial?.()
      await store(await measureTest(spec, test, subjects, models, { random, report, beforeTrial }))
      done += cost
    }
  } finally {
    for (const model of loaded.values()) await model.close()
  }
  await progress.finish('done')
  return { environment: finishEnvironment(environment), warnings, keyFigure: keyFigureOf(series) }
}

function longest(prompts: readonly (number | null)[]): number | null {
  const lengths = prompts.filter((tokens) => tokens !== null)
  return lengths.length === 0 ? null : Math.max(...lengths)
}

interface MeasureContext extends Pick<MeasureOptions, 'random' | 'beforeTrial'> {
  report: Report
}

async function measureTest(
  spec: BenchmarkSpec,
  test: PlannedTest,
  subjects: readonly PreparedSubject[],
  models: readonly RunnableModel[],
  { random, report, beforeTrial }: MeasureContext,
): Promise<MeasuredSeries[]> {
  const name = describeTest(test)
  const trials = models.map((model, index) => {
    const prompt = test.phase === 'FORWARD' ? (subjects[index]?.prompt ?? null) : null
    return testTrial(model, testOfSubject(test, prompt), spec.seed, prompt)
  })
  for (const [index, trial] of trials.entries()) {
    if (test.depth > 0) await report(0, `${name}: filling the K/V cache of ${subjects[index]?.name}`)
    await trial.fill()
  }
  const samples = await measureInterleaved(trials, {
    blocks: spec.blocks,
    maxMilliseconds: spec.maxSeconds === null ? null : spec.maxSeconds * 1000,
    random,
    beforeTrial,
    onBlock: (block, fraction) =>
      report(fraction, block === 0 ? `${name}: warming up` : `${name}: block ${block} of ${spec.blocks}`),
  })
  const asked = { blocks: spec.blocks, maxSeconds: spec.maxSeconds, clockResolution: clockResolution() }
  return trials.map((trial, subjectIndex) => {
    const own = samples[subjectIndex] ?? []
    const bytes = trial.observed()
    const { promptTokens } = testOfSubject(test, subjects[subjectIndex]?.prompt ?? null)
    return {
      subjectIndex,
      phase: test.phase,
      test: test.test,
      promptTokens,
      generatedTokens: test.generatedTokens,
      depth: test.depth,
      batch: test.batch,
      samples: own,
      kvCacheBytes: bytes.kvCache,
      kvCacheBytesPredicted: bytes.kvCachePredicted,
      kvCacheBytesAllocated: bytes.kvCacheAllocated,
      peakMemoryBytes: bytes.peakMemory,
      peakMemoryBytesPredicted: null,
      bytesRead: null,
      kvBytesRead: null,
      flops: null,
      warnings: seriesWarnings(test, own, asked),
    }
  })
}
