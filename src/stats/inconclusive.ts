import { fewestForInterval, type Interval } from './bootstrap.ts'
import { samplesToDetect } from './minimum-detectable-effect.ts'

/** More than this is no advice. */
const mostAdvised = 10_000

/** Why there is no interval, and what there would have to be. */
export function tooFewSamples(samples: number): string {
  if (samples === 1) return `one sample has no spread, so there is no interval, which takes ${fewestForInterval}`
  return `${samples} samples are too few for an interval, which takes ${fewestForInterval}`
}

/** What an interval that decides nothing leaves open, and how many blocks or samples would decide it. */
export function whatItTakes(
  interval: Interval,
  { samples, paired, margin }: { samples: number; paired: boolean; margin: number },
): string {
  const { low, high } = interval
  const open = `the interval ${low.toFixed(3)} to ${high.toFixed(3)} ${openQuestion(interval, margin)}`
  // Without a margin nothing is too small to be asked for; then the difference that the middle suggests is.
  const effect = margin > 0 ? margin : Math.expm1(Math.abs(Math.log(low * high)) / 2)
  const needed = effect > 0 ? samplesToDetect(interval, samples, effect) : Number.POSITIVE_INFINITY
  const what = paired ? 'blocks' : 'samples of each'
  const share = `${Number((100 * effect).toPrecision(2))} %`
  if (needed > mostAdvised) {
    return `${open}; more than ${mostAdvised.toLocaleString('en')} ${what} in place of ${samples} would be needed to tell ${share}: quieten the machine first`
  }
  return `${open}; about ${roundUp(needed).toLocaleString('en')} ${what} in place of ${samples} would tell ${share}`
}

function openQuestion({ low, high }: Interval, margin: number): string {
  const share = `${Number((100 * margin).toPrecision(3))} %`
  if (low < 1 - margin && high > 1 + margin) return 'allows less as well as more'
  if (low < 1 - margin) return `allows less as well as no difference beyond ${share}`
  return `allows more as well as no difference beyond ${share}`
}

/** To two digits, upwards: what comes from a scatter is no better known. */
function roundUp(count: number): number {
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(count)) - 1)
  return Math.ceil(count / unit) * unit
}
