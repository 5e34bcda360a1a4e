import type { Device } from '../jobs/glossary.ts'
import type { Warning } from '../stats/measured-series.ts'
import { median } from '../stats/quantile.ts'
import { standardDeviation } from '../stats/summary.ts'
import type { EnvironmentAtStart } from './environment.ts'
import { describeTest, fewestBlocks, type PlannedTest } from './plan.ts'

export interface WarnedSubject {
  name: string
  device: Device
  synthetic: boolean
}

/** Share of the cores that others may keep busy before timings suffer. */
const busyShare = 0.5
/** Standard deviation / median beyond which samples do not describe one thing. */
const unsteadyShare = 0.1
/** Largest share of a trial that one step of the clock may take. */
const coarseShare = 0.01

/** What a reader of the whole run must know. */
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

/** What a reader of one series must know. */
export function seriesWarnings(
  test: PlannedTest,
  samples: readonly number[],
  asked: { blocks: number; maxSeconds: number | null; clockResolution: number },
): Warning[] {
  const warnings: Warning[] = []
  const what = describeTest(test)
  if (samples.length < asked.blocks) {
    warnings.push({
      code: 'ENDED_EARLY',
      message: `${what}: ${samples.length} of ${asked.blocks} blocks in the ${asked.maxSeconds} s allowed`,
      advice: 'Raise maxSeconds or take a smaller test.',
    })
  }
  if (samples.length < fewestBlocks) {
    warnings.push({
      code: 'FEW_BLOCKS',
      message: `${what}: a median of ${samples.length} blocks has no interval`,
      advice: `Measure ${fewestBlocks} blocks or more.`,
    })
  }
  const middle = median(samples)
  const spread = standardDeviation(samples)
  if (spread !== null && spread > middle * unsteadyShare) {
    warnings.push({
      code: 'UNSTEADY',
      message: `${what}: samples scatter by ${((100 * spread) / middle).toFixed(0)} % of their median`,
      advice: 'Something else used the machine: stop it, or measure more blocks.',
    })
  }
  if (asked.clockResolution > middle * coarseShare) {
    warnings.push({
      code: 'CLOCK_COARSE',
      message: `${what}: one step of the clock is ${asked.clockResolution.toPrecision(2)} ms, a trial ${middle.toPrecision(2)} ms`,
      advice: 'Measure a larger test.',
    })
  }
  return warnings
}
