import { formatInteger } from './units.ts'

/** The next of 1, 2 and 5 times a power of ten. */
export function tickStep(least: number): number {
  if (!(least > 0)) return 1
  const power = 10 ** Math.floor(Math.log10(least))
  return power * ([1, 2, 5, 10].find((factor) => factor * power >= least) ?? 10)
}

/** Ends of an axis and the values that are named on it, all in the unit of the axis. */
export interface Ticks {
  from: number
  to: number
  step: number
  at: number[]
}

/** An axis that begins at 0, of about `most` steps. */
export function ticksFromZero(highest: number, most: number): Ticks {
  return ticksBetween(0, highest, most)
}

/**
 * An axis for values between two: from 0, unless they would all lie in its upper quarter, where no difference is seen. The
 * picture then says so.
 */
export function ticksForValues(lowest: number, highest: number, most: number): Ticks {
  const near = highest > 0 && lowest > 0.75 * highest
  if (!near) return ticksFromZero(highest, most)
  // Values that are all the same still need room around them.
  const room = Math.max(highest - lowest, highest * 0.01)
  return ticksBetween(lowest - room * 0.1, highest + room * 0.1, most)
}

function ticksBetween(low: number, high: number, most: number): Ticks {
  const step = tickStep((high - low) / most)
  const first = Math.floor(low / step + 1e-9)
  const last = Math.max(first + 1, Math.ceil(high / step - 1e-9))
  const at = Array.from({ length: last - first + 1 }, (_, index) => (first + index) * step)
  return { from: first * step, to: last * step, step, at }
}

/** A tick's value with as many digits as its step needs: `0.25`, `1,200`. */
export function formatTick(value: number, step: number): string {
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9))
  if (digits === 0) return formatInteger(value)
  return value.toFixed(Math.min(digits, 20))
}

/** What values are measured in. */
export type ChartUnit = 'ms' | 'tokens/s' | 'bytes'

const scales: Record<ChartUnit, readonly { least: number; name: string }[]> = {
  ms: [
    { least: 1000, name: 's' },
    { least: 1, name: 'ms' },
    { least: 0, name: 'µs' },
  ],
  'tokens/s': [{ least: 0, name: 'tokens/s' }],
  bytes: [
    { least: 1e12, name: 'TB' },
    { least: 1e9, name: 'GB' },
    { least: 1e6, name: 'MB' },
    { least: 1e3, name: 'kB' },
    { least: 0, name: 'B' },
  ],
}

/** The unit in which an axis up to `highest` is read best, and by what values are divided for it. */
export function axisUnit(unit: ChartUnit, highest: number): { name: string; divisor: number } {
  const found = scales[unit].find(({ least }) => highest >= least || (highest === 0 && least <= 1)) ?? {
    least: 0,
    name: unit,
  }
  if (found.least > 0) return { name: found.name, divisor: found.least }
  return { name: found.name, divisor: unit === 'ms' ? 0.001 : 1 }
}
