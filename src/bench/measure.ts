import { setImmediate } from 'node:timers/promises'
import { type Random, shuffled } from '../stats/random.ts'
import { now } from './clock.ts'
import { fewestBlocks } from './plan.ts'
import { type PrecisionWatch, watchPrecision } from './precision.ts'
import { isUnfinished, isWarm, longestWarmUp } from './warm-up.ts'

/** What one subject does in one test: what a block times once. Only `run` is timed. */
export interface Trial {
  prepare(): void
  run(): Promise<void>
  /** looks at what the trial left behind; never timed */
  inspect(): void
}

/** Looks at the machine just before and just after each timed trial. */
export interface TrialMeter {
  start(): void
  stop(): void
}

export interface TimingOptions {
  /** awaited before each trial, warm-ups included */
  beforeTrial?: (() => void | Promise<void>) | undefined
  meter?: TrialMeter | undefined
  clock?: () => number
}

export interface MeasureOptions extends TimingOptions {
  blocks: number
  /** how many tests the trials are of, those of each test side by side; 1 unless given. Times allowed are for each */
  tests?: number
  /** bound on warm-up and blocks of a test together; null: none, but for `longestWarmUp` and for what a precision may take */
  maxMilliseconds: number | null
  random: Random
  /** GIVEN: each block times the trials as they are listed */
  order?: 'RANDOM' | 'GIVEN'
  /** false: the first trial counts */
  warmUp?: boolean
  /** share that half the interval's width shall have of the ratio: blocks go on beyond `blocks` until then; null: none */
  targetPrecision?: number | null
  /**
   * awaited before each block, 0 standing for the warm-up, with the share of the work done and, once it is known, the
   * precision reached
   */
  onBlock(block: number, fraction: number, precision: number | null): void | Promise<void>
}

export interface Measured {
  /** milliseconds, one list a trial in the order given, all of the same length: the number of blocks */
  samples: number[][]
  /** each sample's place in its block, from 0 */
  places: number[][]
  /** of each trial: whether its time to warm up ended while it still got faster */
  warmUpUnfinished: boolean[]
}

/** A precision is given up after so long where the spec sets no time, and after so many blocks. */
const longestForPrecision = 300_000
export const mostBlocks = 1000

/** Milliseconds that warm-up and blocks of one test may take together; null where only the number of blocks decides. */
export function timeLimit(options: Pick<MeasureOptions, 'maxMilliseconds' | 'targetPrecision'>): number | null {
  return options.maxMilliseconds ?? (options.targetPrecision == null ? null : longestForPrecision)
}

/**
 * Times every trial once a block, in a new random order each block, so that a drift of the machine (heat, a neighbour)
 * falls on all alike. Warm-up goes first, interleaved likewise, until no trial gets faster any more (`isWarm`) or a
 * quarter of the time allowed is spent. Blocks end early when the time is spent, though not before the fifth unless that
 * would take three times as long as allowed; with a precision to reach they go on until it is.
 */
export async function measureInterleaved(trials: readonly Trial[], options: MeasureOptions): Promise<Measured> {
  const { clock = now, tests = 1 } = options
  const limit = tests * (timeLimit(options) ?? Number.POSITIVE_INFINITY)
  const start = clock()
  const spent = () => clock() - start

  const timed = trials.map((trial) => ({
    trial,
    warmUps: [] as number[],
    samples: [] as number[],
    places: [] as number[],
  }))
  const timeEach = async (list: 'warmUps' | 'samples') => {
    const turns = options.order === 'GIVEN' ? timed : shuffled(timed, options.random)
    for (const [place, subject] of turns.entries()) {
      // Warm-ups are not what the meter is asked about.
      subject[list].push(
        await timeTrial(subject.trial, list === 'samples' ? options : { ...options, meter: undefined }),
      )
      if (list === 'samples') subject.places.push(place)
    }
  }

  if (options.warmUp ?? true) {
    const longest = tests * (options.maxMilliseconds === null ? longestWarmUp : options.maxMilliseconds / 4)
    await options.onBlock(0, 0, null)
    do await timeEach('warmUps')
    while (spent() < longest && !timed.every(({ warmUps }) => isWarm(warmUps)))
  }

  const watch = options.targetPrecision == null ? null : watchPrecision(options.targetPrecision, tests)
  const most = watch === null ? options.blocks : mostBlocks
  for (let block = 1; block <= most; block += 1) {
    if (block > fewestBlocks && spent() >= limit) break
    if (block > 1 && spent() >= 3 * limit) break
    const enough = block > options.blocks && block > fewestBlocks
    if (enough && watch?.reached(timed.map(({ samples }) => samples)) !== false) break
    await options.onBlock(block, fractionDone(block, options.blocks, spent() / limit, watch), watch?.worst ?? null)
    await timeEach('samples')
  }
  return {
    samples: timed.map(({ samples }) => samples),
    places: timed.map(({ places }) => places),
    warmUpUnfinished: timed.map(({ warmUps }) => (options.warmUp ?? true) && isUnfinished(warmUps)),
  }
}

/** By whichever end is nearer: the blocks asked for, or those that the precision will take, or the time allowed. */
function fractionDone(block: number, asked: number, ofTime: number, watch: PrecisionWatch | null): number {
  const blocks = watch === null ? asked : (watch.blocksNeeded ?? 2 * asked)
  return Math.min(1, Math.max((block - 1) / blocks, ofTime))
}

/** @returns milliseconds */
export async function timeTrial(trial: Trial, options: TimingOptions): Promise<number> {
  const clock = options.clock ?? now
  await options.beforeTrial?.()
  trial.prepare()
  options.meter?.start()
  // The runtime blocks the event loop while it computes: what waits for a turn has it here, between trials.
  await setImmediate()
  const start = clock()
  await trial.run()
  const elapsed = clock() - start
  options.meter?.stop()
  trial.inspect()
  return elapsed
}
