import { inRisingOrder, median } from './quantile.ts'
import { type Random, randomIndex, seededRandom } from './random.ts'
import { mean } from './summary.ts'

export interface OrderEffect {
  /** median time at each place of a block, the mean of a subject's own places being 1 */
  places: number[]
  /** chance of places that differ as much, or more, where the place means nothing */
  probability: number
}

/** Orders drawn anew, at most; fewer where there are many trials. */
const mostDraws = 4999
/** Trials looked at in all draws together. */
const mostLooks = 1e7

/**
 * Whether time depends on the place in the block, by a randomisation test (Fisher, "The Design of Experiments", 1935,
 * section 21; Edgington and Onghena, "Randomization Tests", 2007): the orders of the blocks were drawn at random, so where
 * the place means nothing any other drawing could have been had. Each block's orders are drawn anew and the statistic is
 * compared with what they give. It is the sum over places of the squared sum of the ranks of the trials there, each
 * trial ranked among its subject's own (ranks: Conover and Iman, The American Statistician 35, 1981), so that a subject
 * that is slower than another, or came first more often, does not matter.
 * @param samples [subject][block], in any unit
 * @param places [subject][block]: place of the trial in its block, from 0
 * @param seed of the drawing
 */
export function testOrderEffect(
  samples: readonly (readonly number[])[],
  places: readonly (readonly number[])[],
  seed = 0,
): OrderEffect {
  const subjects = samples.length
  const blocks = samples[0]?.length ?? 0
  const ranks = samples.map(centredRanks)
  /** [block][subject], flat */
  const scores = Float64Array.from({ length: blocks * subjects }, (_, at) => {
    return ranks[at % subjects]?.[Math.floor(at / subjects)] ?? 0
  })
  const given = Uint32Array.from({ length: blocks * subjects }, (_, at) => {
    return places[at % subjects]?.[Math.floor(at / subjects)] ?? 0
  })

  const seen = spreadOfPlaces(scores, given, subjects)
  const random = seededRandom(seed)
  const draws = Math.max(1, Math.min(mostDraws, Math.floor(mostLooks / Math.max(1, scores.length))))
  const drawn = new Uint32Array(given)
  let asGreat = 0
  for (let draw = 0; draw < draws; draw += 1) {
    shuffleBlocks(drawn, subjects, random)
    // Scores are halves, so equal statistics are equal.
    if (spreadOfPlaces(scores, drawn, subjects) >= seen) asGreat += 1
  }
  return { places: timesAtPlaces(samples, places), probability: (asGreat + 1) / (draws + 1) }
}

function spreadOfPlaces(scores: Float64Array, places: Uint32Array, subjects: number): number {
  const sums = new Float64Array(subjects)
  for (let at = 0; at < scores.length; at += 1) {
    const place = places[at] ?? 0
    sums[place] = (sums[place] ?? 0) + (scores[at] ?? 0)
  }
  let spread = 0
  for (const sum of sums) spread += sum * sum
  return spread
}

/** Draws the order of each block anew, in place (Fisher and Yates). */
function shuffleBlocks(places: Uint32Array, subjects: number, random: Random): void {
  for (let block = 0; block < places.length; block += subjects) {
    for (let last = subjects - 1; last > 0; last -= 1) {
      const other = block + randomIndex(random, last + 1)
      const kept = places[block + last] ?? 0
      places[block + last] = places[other] ?? 0
      places[other] = kept
    }
  }
}

/** Ranks about their middle; equal values share the mean of theirs. */
function centredRanks(values: readonly number[]): number[] {
  const rising = inRisingOrder(values)
  const rankOf = new Map<number, number>()
  for (let first = 0; first < rising.length; ) {
    let next = first + 1
    while (next < rising.length && rising[next] === rising[first]) next += 1
    rankOf.set(rising[first] ?? 0, (first + next - rising.length) / 2)
    first = next
  }
  return values.map((value) => rankOf.get(value) ?? 0)
}

function timesAtPlaces(samples: readonly (readonly number[])[], places: readonly (readonly number[])[]): number[] {
  const relative = samples.map((own, subject) => {
    const medians = samples.map((_, place) => {
      const there = own.filter((_, block) => places[subject]?.[block] === place)
      return there.length === 0 ? null : median(there)
    })
    const middle = mean(medians.filter((time) => time !== null))
    return medians.map((time) => (time === null ? null : time / middle))
  })
  return samples.map((_, place) => mean(relative.map((own) => own[place] ?? null).filter((time) => time !== null)))
}
