import { setImmediate } from 'node:timers/promises'
import type { RunnableModel } from '../models/runner.ts'
import type { MeasuredSeries } from '../stats/measured-series.ts'
import { type Random, shuffled } from '../stats/random.ts'
import { now } from './clock.ts'
import { loadSubjectModel } from './load-model.ts'
import { peakResidentBytes, restartPeak } from './memory.ts'
import type { PreparedSubject } from './open-subjects.ts'
import { stepsOf } from './plan.ts'
import type { Report } from './progress.ts'
import { forwardAll, sliceSteps } from './trial.ts'

export interface LoadContext {
  /** threads of a subject that names none */
  cores: number
  random: Random
  /** filled by the subjects' indices, so that the caller can close what was opened before an error */
  loaded: Map<number, RunnableModel>
  store(rows: MeasuredSeries[]): Promise<void>
  report: Report
}

/**
 * Loads the subjects in a random order and times each load (LOAD) and, right after it, the first forward pass of the
 * prompt (COLD), in the steps that the warm one takes. Both happen once, so they are single values: whatever the operating system holds of the file in memory
 * is in them.
 */
export async function loadSubjects(subjects: readonly PreparedSubject[], context: LoadContext): Promise<void> {
  const order = shuffled([...subjects.keys()], context.random)
  for (const [turn, index] of order.entries()) {
    const subject = subjects[index]
    if (subject === undefined) continue
    await context.report(turn / order.length, `${subject.name}: loading the weights`)
    await setImmediate()
    restartPeak()
    const start = now()
    const model = await loadSubjectModel(subject, context.cores)
    const load = now() - start
    context.loaded.set(index, model)
    const rows = [singleValue(index, 'LOAD', load, 0)]
    if (subject.prompt !== null) rows.push(await coldForward(index, model, subject.prompt))
    await context.store(rows)
  }
}

async function coldForward(index: number, model: RunnableModel, prompt: readonly number[]): Promise<MeasuredSeries> {
  const cache = model.createCache()
  const steps = sliceSteps([prompt], 0, stepsOf(prompt.length))
  restartPeak()
  const start = now()
  await forwardAll(model, cache, steps)
  return singleValue(index, 'COLD', now() - start, prompt.length)
}

function singleValue(
  subjectIndex: number,
  phase: 'LOAD' | 'COLD',
  milliseconds: number,
  promptTokens: number,
): MeasuredSeries {
  return {
    subjectIndex,
    phase,
    test: '',
    promptTokens,
    generatedTokens: 0,
    depth: 0,
    batch: 1,
    samples: [milliseconds],
    kvCacheBytes: null,
    kvCacheBytesPredicted: null,
    kvCacheBytesAllocated: null,
    peakMemoryBytes: peakResidentBytes(),
    peakMemoryBytesPredicted: null,
    bytesRead: null,
    kvBytesRead: null,
    flops: null,
    warnings: [],
  }
}
