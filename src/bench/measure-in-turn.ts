import type { KvCache } from '../models/kv-cache.ts'
import type { MeasuredSeries } from '../stats/measured-series.ts'
import { shuffled } from '../stats/random.ts'
import { clockResolution, now } from './clock.ts'
import { predictPeak } from './estimate.ts'
import { orderWarnings } from './guard-order.ts'
import { coldSeries, loadSeries, type TimedOnce, timeCold, timeLoad } from './load-subjects.ts'
import { mostBlocks, timeLimit, timeTrial } from './measure.ts'
import { blockMessage, type MeasureContext } from './measure-together.ts'
import type { PreparedSubject } from './open-subjects.ts'
import { describeTest, fewestBlocks, type PlannedTest, testOfSubject } from './plan.ts'
import { watchPrecision } from './precision.ts'
import { testSeries } from './test-series.ts'
import { type ObservedBytes, testTrial } from './trial.ts'

/** Of one subject, block by block. */
interface Collected {
  loads: TimedOnce[]
  colds: TimedOnce[]
  /** by test */
  tests: CollectedTest[]
}

interface CollectedTest {
  samples: number[]
  places: number[]
  observed: ObservedBytes | null
  /** what the first block filled the cache with */
  filled: KvCache | null
}

/**
 * Times subjects one after the other: every block loads each in turn, in an order of its own, times the load and the cold
 * forward, then one trial of every test after an untimed one, the tests in random order too, and closes it. So LOAD and
 * COLD have a sample a block here. The file's pages come from wherever the system keeps them, which is part of every load.
 * @param keepCaches whether the first block's filled caches are kept for the others, which then copy them to a place of
 * their own in place of a prefill to every depth
 */
export async function measureInTurn(context: MeasureContext, keepCaches: boolean): Promise<void> {
  const { spec, subjects, tests, random } = context
  const seconds = spec.maxSeconds === null ? null : spec.maxSeconds * 1000
  const ofTest = timeLimit({ maxMilliseconds: seconds, targetPrecision: spec.targetPrecision })
  const limit = ofTest === null ? Number.POSITIVE_INFINITY : ofTest * Math.max(1, tests.length)
  const start = now()
  const spent = () => now() - start

  const collected = subjects.map(
    (): Collected => ({
      loads: [],
      colds: [],
      tests: tests.map(() => ({ samples: [], places: [], observed: null, filled: null })),
    }),
  )
  const samplesOf = (test: number) => collected.map((own) => own.tests[test]?.samples ?? [])
  const { targetPrecision } = spec
  const watch = targetPrecision === null ? null : watchPrecision(targetPrecision, tests.length)
  const most = watch === null ? spec.blocks : mostBlocks

  for (let block = 1; block <= most; block += 1) {
    if (block > fewestBlocks && spent() >= limit) break
    if (block > 1 && spent() >= 3 * limit) break
    const enough = block > spec.blocks && block > fewestBlocks
    if (enough && watch?.reached(tests.flatMap((_, test) => samplesOf(test))) !== false) break
    const precision = watch?.worst ?? null
    const blocks = Math.max(spec.blocks, watch?.blocksNeeded ?? 0)
    const done = Math.min(1, Math.max((block - 1) / blocks, spent() / limit))
    const report = context.share(done, Math.min(1, done + 1 / blocks))

    const indices = [...subjects.keys()]
    const order = spec.order === 'GIVEN' ? indices : shuffled(indices, random)
    for (const [place, index] of order.entries()) {
      const subject = subjects[index]
      const own = collected[index]
      if (subject === undefined || own === undefined) continue
      await report(place / order.length, `${blockMessage(block, precision, spec)}: loading ${subject.name}`)
      await measureOnce(subject, own, { place, keepCaches }, context)
    }
  }
  await context.store(rowsOf(collected, spent(), ofTest, context))
}

/** One subject in one block: loaded, timed once in everything, and closed. */
async function measureOnce(
  subject: PreparedSubject,
  own: Collected,
  { place, keepCaches }: { place: number; keepCaches: boolean },
  { spec, tests, cores, random, meter, beforeTrial }: MeasureContext,
): Promise<void> {
  const { model, ...load } = await timeLoad(subject, cores)
  try {
    own.loads.push(load)
    if (subject.prompt !== null) own.colds.push(await timeCold(model, subject.prompt))
    const turns = [...tests.entries()]
    for (const [index, test] of spec.order === 'GIVEN' ? turns : shuffled(turns, random)) {
      const prompt = test.phase === 'FORWARD' ? subject.prompt : null
      const ofTest = own.tests[index]
      if (ofTest === undefined) continue
      const trial = testTrial(model, testOfSubject(test, prompt), spec.seed, prompt, ofTest.filled)
      await trial.fill()
      if (keepCaches && test.depth > 0) ofTest.filled ??= trial.copyFilled()
      if (spec.warmUp) {
        await beforeTrial()
        await trial.warm()
      }
      const milliseconds = await timeTrial(trial, { beforeTrial, meter })
      ofTest.samples.push(milliseconds)
      ofTest.places.push(place)
      ofTest.observed = greatest(ofTest.observed, trial.observed())
    }
  } finally {
    await model.close()
  }
}

/** The cache is the same in every block; the peak is not. */
function greatest(before: ObservedBytes | null, now: ObservedBytes): ObservedBytes {
  return { ...now, peakMemory: Math.max(before?.peakMemory ?? 0, now.peakMemory) }
}

function rowsOf(
  collected: readonly Collected[],
  spent: number,
  limit: number | null,
  { spec, subjects, plans, tests }: MeasureContext,
): MeasuredSeries[] {
  const alone = (subject: number, done: readonly PlannedTest[], test: PlannedTest | null) =>
    predictPeak(plans, { present: [subject], done, cached: test === null ? [] : [test] })
  const once = collected.flatMap(({ loads, colds }, index) => {
    const plan = plans[index]
    const rows = [loadSeries(index, loads, alone(index, [], null))]
    if (plan === undefined || colds.length === 0) return rows
    const promptTokens = subjects[index]?.prompt?.length ?? 0
    const forward = { phase: 'COLD', test: '', promptTokens, generatedTokens: 0, depth: 0, batch: 1 } as const
    return [...rows, coldSeries(index, { plan, promptTokens }, colds, alone(index, [forward], null))]
  })
  const context = { ...spec, maxSeconds: limit === null ? null : limit / 1000, clockResolution: clockResolution() }
  return [
    ...once,
    ...tests.flatMap((test, at) => {
      const samples = collected.map((own) => own.tests[at]?.samples ?? [])
      const places = collected.map((own) => own.tests[at]?.places ?? [])
      const outcome = {
        test,
        samples,
        warmUpUnfinished: [],
        observed: collected.flatMap((own) => own.tests[at]?.observed ?? []),
        // Tests take turns too, so each has come after the largest in some block.
        peaksPredicted: plans.map((_, index) => alone(index, tests, test)),
        spent: spent / tests.length,
        ofOrder: spec.order === 'GIVEN' ? [] : orderWarnings(describeTest(test), samples, places),
      }
      const prompts = subjects.map(({ prompt }) => prompt)
      return testSeries(outcome, plans, prompts, context)
    }),
  ]
}
