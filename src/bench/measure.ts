import { setImmediate } from 'node:timers/promises'
import { type Random, shuffled } from '../stats/random.ts'
import { now } from './clock.ts'
import { fewestBlocks } from './plan.ts'
import { isWarm } from './warm-up.ts'

/** What one subject does in one test. Only `run` is timed. */
export interface Trial {
  prepare(): void
  run(): Promise<void>
  /** looks at what the trial left behind; never timed */
  inspect(): void
}

export interface MeasureOptions {
  blocks: number
  /** bound on warm-up and blocks together; null: none */
  maxMilliseconds: number | null
  random: Random
  /** awaited before each block, 0 standing for the warm-up, with the share of the work done */
  onBlock(block: number, fraction: number): void | Promise<void>
  /** awaited before each trial, warm-ups included */
  beforeTrial?: (() => void | Promise<void>) | undefined
  clock?: () => number
}

/**
 * Times every trial once a block, in a new random order each block, so that a drift of the machine (heat, a neighbour)
 * falls on all alike. Warm-up goes first, interleaved likewise, until every trial is warm; it may take a quarter of the
 * time allowed. Blocks end early when the time is spent, though not before the fifth unless that would take three
 * times as long as allowed.
 * @returns milliseconds, one list a trial in the order given, all of the same length: the number of blocks
 */
export async function measureInterleaved(trials: readonly Trial[], options: MeasureOptions): Promise<number[][]> {
  const clock = options.clock ?? now
  const limit = options.maxMilliseconds ?? Number.POSITIVE_INFINITY
  const start = clock()
  const spent = () => clock() - start

  const timed = trials.map((trial) => ({ trial, warmUps: [] as number[], samples: [] as number[] }))
  const timeEach = async (list: 'warmUps' | 'samples') => {
    for (const subject of shuffled(timed, options.random)) {
      await options.beforeTrial?.()
      subject[list].push(await timeOne(subject.trial, clock))
    }
  }

  await options.onBlock(0, 0)
  do await timeEach('warmUps')
  while (spent() < limit / 4 && !timed.every(({ warmUps }) => isWarm(warmUps)))

  for (let block = 1; block <= options.blocks; block += 1) {
    if (block > fewestBlocks && spent() >= limit) break
    if (block > 1 && spent() >= 3 * limit) break
    await options.onBlock(block, Math.min(1, Math.max((block - 1) / options.blocks, spent() / limit)))
    await timeEach('samples')
  }
  return timed.map(({ samples }) => samples)
}

async function timeOne(trial: Trial, clock: () => number): Promise<number> {
  trial.prepare()
  // The runtime blocks the event loop while it computes: what waits for a turn has it here, between trials.
  await setImmediate()
  const start = clock()
  await trial.run()
  const elapsed = clock() - start
  trial.inspect()
  return elapsed
}
