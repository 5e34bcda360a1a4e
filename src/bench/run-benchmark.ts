import type { BenchmarkSpec } from '../jobs/spec.ts'
import type { MeasuredSeries, Warning } from '../stats/measured-series.ts'
import { seededRandom } from '../stats/random.ts'
import { finishEnvironment, readEnvironment } from './environment.ts'
import { machineWarnings } from './guard-machine.ts'
import { modelWarnings } from './guard-models.ts'
import { planWarnings } from './guard-plan.ts'
import { keyFigureOf } from './key-figure.ts'
import { ensureTestsFit, type Loading, planLoading } from './limits.ts'
import { fewestBoundBytes, machineBounds } from './machine-bounds.ts'
import { openUseMeter } from './machine-use.ts'
import { measureInTurn } from './measure-in-turn.ts'
import { type MeasureContext, measureTogether } from './measure-together.ts'
import { type AvailableMemory, availableMemory } from './memory.ts'
import type { SubjectPlaces } from './open-subject.ts'
import { openSubjects, type PreparedSubject } from './open-subjects.ts'
import { groupTests, planTests } from './plan.ts'
import { progressOf } from './progress.ts'
import type { BenchmarkOutcome, BenchSink, MachineBounds } from './result.ts'
import { planSubject, type SubjectPlan } from './subject-config.ts'
import { weightBytesRead } from './subject-cost.ts'
import { runWarnings } from './warnings.ts'

export interface BenchmarkOptions {
  /** what the machine has left; given where that is not to be looked at */
  available?: AvailableMemory
}

/**
 * Runs a benchmark in this process: checks what the spec asks for against models and machine, opens the checkpoints,
 * loads the subjects and times load, cold forward and each test, the subjects interleaved. Where they do not fit in
 * memory together they are loaded in turn. Rows go to the sink as they come, never during a timed trial, which waits until
 * the sink has taken them.
 * @throws AppError CONTEXT_EXCEEDED or OUT_OF_MEMORY before any weight is loaded; those of opening and running a model
 */
export async function runBenchmark(
  spec: BenchmarkSpec,
  places: SubjectPlaces,
  sink: BenchSink,
  options: BenchmarkOptions = {},
): Promise<BenchmarkOutcome> {
  const environment = readEnvironment()
  const plans = await Promise.all(spec.subjects.map((subject) => planSubject(subject, places.modelRoots)))
  ensureTestsFit(spec, plans)
  planLoading(spec, plans, options.available ?? availableMemory())

  const progress = progressOf(sink)
  const subjects = await openSubjects(spec, plans, places, progress.share(0, 0.2))
  const prompts = subjects.map(({ prompt }) => prompt?.length ?? null)
  const loading = planLoading(spec, plans, options.available ?? availableMemory(), prompts)
  await sink.subjects(subjects.map((subject) => subject.opened))

  const series: MeasuredSeries[] = []
  const meter = openUseMeter()
  const tests = planTests(spec, longest(prompts))
  const context: MeasureContext = {
    spec,
    subjects,
    plans,
    tests,
    cores: environment.cores,
    random: seededRandom(spec.seed),
    meter,
    beforeTrial: () => sink.beforeTrial?.(),
    async store(rows) {
      series.push(...rows)
      await sink.series(rows)
    },
    share: (from, to) => progress.share(0.2 + 0.78 * from, 0.2 + 0.78 * to),
  }
  if (loading.inTurn) await measureInTurn(context, loading.keepCaches)
  else await measureTogether(context, groupTests(tests, loading.apart === undefined ? spec.sweep : null))

  const warnings = [
    ...runWarnings(subjects, environment),
    ...planWarnings({ ...spec, reload: loading.inTurn }, plans, tests),
    ...modelWarnings(plans),
    ...loadingWarnings(loading),
    ...machineWarnings(
      meter.use(),
      subjects.every(({ device }) => device === 'CPU'),
    ),
  ]
  const finished = finishEnvironment(environment)
  const report = progress.share(0.98, 1)
  // After the models are gone: their weights and the probe's memory are not held at the same time.
  const bounds = await boundsFor(plans, subjects, environment.cores, places.dataDir, () =>
    report(0, 'measuring how fast the machine reads and computes'),
  )
  await progress.finish('done')
  return { environment: { ...finished, bounds }, warnings, keyFigure: keyFigureOf(series) }
}

function longest(prompts: readonly (number | null)[]): number | null {
  const lengths = prompts.filter((tokens) => tokens !== null)
  return lengths.length === 0 ? null : Math.max(...lengths)
}

function loadingWarnings(loading: Loading): Warning[] {
  if (!loading.inTurn) {
    if (loading.apart === undefined) return []
    return [
      {
        code: 'SWEEP_APART',
        message: loading.apart,
        advice:
          'A drift along the axis looks like a slope: mind DRIFT and OTHER_LOAD, or free memory and measure again.',
      },
    ]
  }
  if (loading.message === null) return []
  return [
    {
      code: 'LOADED_IN_TURN',
      message: loading.message,
      advice:
        'Ratios hold, as every block timed all subjects; each trial follows a load, so do not compare with other runs.',
    },
  ]
}

/**
 * The machine's bounds for as many threads as the subjects on the CPU have at most; null where their weights are so small
 * that they may stay in a cache.
 */
async function boundsFor(
  plans: readonly SubjectPlan[],
  subjects: readonly PreparedSubject[],
  cores: number,
  dataDir: string,
  onMeasuring: () => Promise<void>,
): Promise<MachineBounds | null> {
  const large = subjects.filter(({ device }, index) => {
    const plan = plans[index]
    return device === 'CPU' && plan !== undefined && weightBytesRead(plan) >= fewestBoundBytes
  })
  if (large.length === 0) return null
  return machineBounds({ dataDir, threads: Math.max(...large.map(({ threads }) => threads ?? cores)), onMeasuring })
}
