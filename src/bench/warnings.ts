import type { Device } from '../jobs/glossary.ts'
import type { Warning } from '../stats/measured-series.ts'
import { median } from '../stats/quantile.ts'
import { standardDeviation } from '../stats/summary.ts'
import type { EnvironmentAtStart } from './environment.ts'
import { clockWarnings } from './guard-clock.ts'
import { driftWarnings } from './guard-drift.ts'
import { firstTrialWarnings } from './guard-first-trial.ts'
import { outlierWarnings } from './guard-outliers.ts'
import { describeTest, fewestBlocks, type PlannedTest } from './plan.ts'
import { blocksFor } from './precision.ts'
import { longestWarmUp } from './warm-up.ts'

export interface WarnedSubject {
  name: string
  device: Device
  synthetic: boolean
}

/** Share of the cores that others may keep busy before timings suffer. */
const busyShare = 0.5
/** Standard deviation / median beyond which samples do not describe one thing. */
const unsteadyShare = 0.1

/** What a reader of the whole run must know of its subjects and of the machine before it began. */
export function runWarnings(subjects: readonly WarnedSubject[], environment: EnvironmentAtStart): Warning[] {
  const warnings: Warning[] = []
  const synthetic = subjects.filter((subject) => subject.synthetic).map((subject) => subject.name)
  if (synthetic.length > 0) {
    warnings.push({
      code: 'SYNTHETIC_WEIGHTS',
      message: `${synthetic.join(', ')}: random weights drawn from a seed, so timings and sizes are real and text is not`,
      advice: 'Measure a real checkpoint from a local folder to see the same on trained weights.',
    })
  }
  for (const device of new Set(subjects.map((subject) => subject.device).filter((one) => one !== 'CPU'))) {
    const names = subjects.filter((subject) => subject.device === device).map((subject) => subject.name)
    warnings.push({
      code: 'CACHE_CROSSES_BUS',
      message: `${names.join(', ')}: the K/V cache lives in JavaScript's memory and crosses the bus to ${device} in every step`,
      advice: 'Read decode figures as a bound from above; prefill at depth 0 is not affected.',
    })
  }
  const { loadAtStart, cores } = environment
  if (loadAtStart > cores * busyShare) {
    warnings.push({
      code: 'LOAD_HIGH',
      message: `load average was ${loadAtStart.toFixed(2)} on ${cores} cores before the run began`,
      advice: 'Stop other work and measure again; ratios of interleaved subjects suffer least.',
    })
  }
  return warnings
}

/** How a series was to be measured, and how that went. */
export interface Asked {
  blocks: number
  maxSeconds: number | null
  /** milliseconds */
  clockResolution: number
  warmUpUnfinished?: boolean
  /** null: none was asked for */
  precision?: PrecisionReached | null
}

export interface PrecisionReached {
  target: number
  /** half the interval's width as a share */
  reached: number
  /** milliseconds that warm-up and blocks took */
  spent: number
}

/** What a reader of one series must know. */
export function seriesWarnings(test: PlannedTest, samples: readonly number[], asked: Asked): Warning[] {
  const what = describeTest(test)
  return [
    ...endedEarly(what, samples, asked),
    ...fewBlocks(what, samples),
    ...warmUpUnfinished(what, asked),
    ...precisionNotReached(what, samples, asked.precision ?? null),
    ...firstTrialWarnings(what, samples),
    ...driftWarnings(what, samples),
    ...outlierWarnings(what, samples),
    ...unsteady(what, samples),
    ...clockWarnings(what, samples, asked.clockResolution),
  ]
}

function endedEarly(what: string, samples: readonly number[], { blocks, maxSeconds }: Asked): Warning[] {
  if (samples.length >= blocks) return []
  return [
    {
      code: 'ENDED_EARLY',
      message: `${what}: ${samples.length} of ${blocks} blocks in the ${maxSeconds} s allowed`,
      advice: 'Raise maxSeconds or take a smaller test.',
    },
  ]
}

function fewBlocks(what: string, samples: readonly number[]): Warning[] {
  if (samples.length === 1) {
    return [
      {
        code: 'SINGLE_TRIAL',
        message: `${what}: one trial says nothing of how much trials differ`,
        advice: `Measure ${fewestBlocks} blocks or more: no difference can be told from chance by one.`,
      },
    ]
  }
  if (samples.length >= fewestBlocks) return []
  return [
    {
      code: 'FEW_BLOCKS',
      message: `${what}: a median of ${samples.length} blocks has no interval`,
      advice: `Measure ${fewestBlocks} blocks or more.`,
    },
  ]
}

function warmUpUnfinished(what: string, { warmUpUnfinished: unfinished = false, maxSeconds }: Asked): Warning[] {
  if (!unfinished) return []
  const bound = maxSeconds === null ? longestWarmUp / 1000 : maxSeconds / 4
  return [
    {
      code: 'WARM_UP_UNFINISHED',
      message: `${what}: warm-up ended after its ${bound} s, and its trials still got faster, or were too few to tell`,
      advice: 'Raise maxSeconds, a quarter of which is warm-up, or take a smaller test.',
    },
  ]
}

function precisionNotReached(what: string, samples: readonly number[], precision: PrecisionReached | null): Warning[] {
  if (precision === null || precision.reached <= precision.target) return []
  const { target, reached, spent } = precision
  const percent = (share: number) => `${(100 * share).toPrecision(2)} %`
  const blocks = blocksFor(samples.length, reached, target)
  const seconds = blocks === null ? null : Math.ceil((spent / 1000) * (blocks / samples.length))
  return [
    {
      code: 'PRECISION_NOT_REACHED',
      message: `${what}: the interval is within ${percent(reached)} after ${samples.length} blocks, and ${percent(target)} were asked for`,
      advice:
        blocks === null
          ? `Measure ${fewestBlocks} blocks or more.`
          : `It would take about ${blocks} blocks, or ${seconds} s a test: raise maxSeconds, or stop what makes trials differ.`,
    },
  ]
}

function unsteady(what: string, samples: readonly number[]): Warning[] {
  const middle = median(samples)
  const spread = standardDeviation(samples)
  if (spread === null || spread <= middle * unsteadyShare) return []
  return [
    {
      code: 'UNSTEADY',
      message: `${what}: samples scatter by ${((100 * spread) / middle).toFixed(0)} % of their median`,
      advice: 'Something else used the machine: stop it, or measure more blocks.',
    },
  ]
}
