import { setImmediate } from 'node:timers/promises'
import type { RunnableModel } from '../models/runner.ts'
import type { MeasuredSeries } from '../stats/measured-series.ts'
import { now } from './clock.ts'
import { loadSubjectModel } from './load-model.ts'
import { peakResidentBytes, restartPeak } from './memory.ts'
import type { PreparedSubject } from './open-subjects.ts'
import { stepsOf } from './plan.ts'
import type { Report } from './progress.ts'
import type { SubjectPlan } from './subject-config.ts'
import { subjectCost } from './subject-cost.ts'
import { forwardAll, sliceSteps } from './trial.ts'

export interface LoadContext {
  plans: readonly SubjectPlan[]
  /** threads of a subject that names none */
  cores: number
  /** in which subjects are loaded: their indices */
  order: readonly number[]
  /** filled by the subjects' indices, so that the caller can close what was opened before an error */
  loaded: Map<number, RunnableModel>
  /** peak that was estimated for a subject: null while it loads, else for its cold forward */
  predictPeak(subject: number, promptTokens: number | null): number
  store(rows: MeasuredSeries[]): Promise<void>
  report: Report
}

/**
 * Loads the subjects and times each load (LOAD) and, right after it, the first forward pass of the prompt (COLD), in the
 * steps that the warm one takes. Both happen once, so they are single values: whatever the operating system holds of the
 * file in memory is in them.
 */
export async function loadSubjects(subjects: readonly PreparedSubject[], context: LoadContext): Promise<void> {
  for (const [turn, index] of context.order.entries()) {
    const subject = subjects[index]
    const plan = context.plans[index]
    if (subject === undefined || plan === undefined) continue
    await context.report(turn / context.order.length, `${subject.name}: loading the weights`)
    const load = await timeLoad(subject, context.cores)
    context.loaded.set(index, load.model)
    const rows = [loadSeries(index, [load], context.predictPeak(index, null))]
    if (subject.prompt !== null) {
      const cold = await timeCold(load.model, subject.prompt)
      const { length: promptTokens } = subject.prompt
      rows.push(coldSeries(index, { plan, promptTokens }, [cold], context.predictPeak(index, promptTokens)))
    }
    await context.store(rows)
  }
}

/** What happens once to a model, how long it took and what the process held at most. */
export interface TimedOnce {
  milliseconds: number
  peakMemory: number
}

export async function timeLoad(subject: PreparedSubject, cores: number): Promise<TimedOnce & { model: RunnableModel }> {
  await setImmediate()
  restartPeak()
  const start = now()
  const model = await loadSubjectModel(subject, cores)
  return { model, milliseconds: now() - start, peakMemory: peakResidentBytes() }
}

/** The first forward pass of a model that was just loaded. */
export async function timeCold(model: RunnableModel, prompt: readonly number[]): Promise<TimedOnce> {
  const cache = model.createCache()
  const steps = sliceSteps([prompt], 0, stepsOf(prompt.length))
  restartPeak()
  const start = now()
  await forwardAll(model, cache, steps)
  return { milliseconds: now() - start, peakMemory: peakResidentBytes() }
}

export function loadSeries(subjectIndex: number, times: readonly TimedOnce[], peakPredicted: number): MeasuredSeries {
  return onceSeries(subjectIndex, 'LOAD', times, {
    promptTokens: 0,
    peakMemoryBytesPredicted: peakPredicted,
    bytesRead: null,
    kvBytesRead: null,
    flops: null,
  })
}

export function coldSeries(
  subjectIndex: number,
  { plan, promptTokens }: { plan: SubjectPlan; promptTokens: number },
  times: readonly TimedOnce[],
  peakPredicted: number,
): MeasuredSeries {
  const test = { promptTokens, generatedTokens: 0, depth: 0, batch: 1 }
  return onceSeries(subjectIndex, 'COLD', times, {
    promptTokens,
    peakMemoryBytesPredicted: peakPredicted,
    ...subjectCost(plan, test),
  })
}

function onceSeries(
  subjectIndex: number,
  phase: 'LOAD' | 'COLD',
  times: readonly TimedOnce[],
  sizes: Pick<MeasuredSeries, 'promptTokens' | 'peakMemoryBytesPredicted' | 'bytesRead' | 'kvBytesRead' | 'flops'>,
): MeasuredSeries {
  return {
    subjectIndex,
    phase,
    test: '',
    generatedTokens: 0,
    depth: 0,
    batch: 1,
    samples: times.map(({ milliseconds }) => milliseconds),
    kvCacheBytes: null,
    kvCacheBytesPredicted: null,
    kvCacheBytesAllocated: null,
    peakMemoryBytes: Math.max(...times.map(({ peakMemory }) => peakMemory)),
    warnings: [],
    ...sizes,
  }
}
