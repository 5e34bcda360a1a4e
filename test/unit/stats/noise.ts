import type { Random } from '../../../src/stats/random.ts'

/** Normal deviates by Box and Muller (Annals of Mathematical Statistics 29, 1958). */
export const gaussian = (random: Random) => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())

/** Times about 1 with a scatter of that share. */
export const lognormal = (random: Random, scatter: number) => () => Math.exp(scatter * gaussian(random))

/** Times about 1 of which one in seven is up to half as long again: a neighbour had the core. */
export const interrupted = (random: Random, scatter: number) => () =>
  Math.exp(scatter * gaussian(random) + (random() < 1 / 7 ? 0.5 * random() : 0))

/** Times of two states, 30 % apart, as of a clock that steps. */
export const bimodal = (random: Random, scatter: number) => () =>
  Math.exp(scatter * gaussian(random) + (random() < 0.4 ? 0.3 : 0))
