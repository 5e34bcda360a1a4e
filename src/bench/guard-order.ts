import type { Warning } from '../stats/measured-series.ts'
import { testOrderEffect } from '../stats/order-effect.ts'

/** Of tests in which the place means nothing, one in so many is said to depend on it. */
const falseAlarm = 0.002
/** A difference of places of less than this share is too small to matter. */
const leastShare = 0.02
/** Fewer blocks than this have too few orders to tell one by. */
const fewestBlocks = 5

/**
 * ORDER_EFFECT: a trial's time depends on its place in the block, as where one subject leaves caches or heat to the next.
 * @param samples [subject][block] of one test
 * @param places [subject][block]
 */
export function orderWarnings(
  what: string,
  samples: readonly (readonly number[])[],
  places: readonly (readonly number[])[],
): Warning[] {
  if (samples.length < 2 || (samples[0]?.length ?? 0) < fewestBlocks) return []
  const effect = testOrderEffect(samples, places)
  const slowest = Math.max(...effect.places)
  const fastest = Math.min(...effect.places)
  if (effect.probability > falseAlarm || slowest < fastest * (1 + leastShare)) return []
  const place = (time: number) => effect.places.indexOf(time) + 1
  return [
    {
      code: 'ORDER_EFFECT',
      message: `${what}: trials in place ${place(slowest)} of a block took ${(100 * (slowest / fastest - 1)).toFixed(0)} % longer than in place ${place(fastest)} (p ${effect.probability.toPrecision(1)})`,
      advice:
        'What ran before changes the time. Places are drawn at random, so ratios lean to no side, but their intervals are wider: measure more blocks.',
    },
  ]
}
