import { type Random, randomIndex, seededRandom } from './random.ts'
import { doubledRanks } from './ranks.ts'

// Fisher, "The Design of Experiments", 1935, section 21: if both sides were alike, every exchange of labels that the
// experiment might have drawn was as likely as the one it drew, so the share of exchanges that look at least as different
// is the probability. Good, "Permutation, Parametric and Bootstrap Tests of Hypotheses", 2005, chapter 3. Ranks stand for
// values (Wilcoxon, "Individual Comparisons by Ranking Methods", Biometrics Bulletin 1, 1945), so that one trial that a
// neighbour interrupted weighs as one trial.

/** Sign flips of so many blocks, and orders of so many samples, are all counted; beyond, some are drawn. */
const mostBlocksCounted = 100
const mostSamplesCounted = 40

/** So many exchanges are drawn, fewer of many samples, that an answer takes some milliseconds; never under 999. */
const drawsOf = (samples: number) => Math.max(999, Math.min(4999, Math.floor(400_000 / samples)))

/**
 * Two-sided probability of signed ranks at least as uneven as these, if in every block both sides were alike: the sign
 * of each difference is flipped. All 2^n flips are counted, by the shift algorithm of Streitberg and Roehmel, "Exact
 * distributions for permutation and rank tests", Statistical Software Newsletter 12 (1986); above 100 blocks some are
 * drawn. Within a block of random order the flips are what the draw might have given, whatever drifts between blocks.
 * @param differences one a block, such as logarithms of ratios; one that is 0 keeps its rank and has no sign (Pratt 1959)
 */
export function pairedPermutationTest(differences: ArrayLike<number>, seed = 0): number {
  const all = doubledRanks(Float64Array.from(differences, Math.abs))
  const ranks: number[] = []
  let positive = 0
  for (let block = 0; block < all.length; block += 1) {
    const difference = differences[block] ?? 0
    const rank = all[block] ?? 0
    if (difference !== 0) ranks.push(rank)
    if (difference > 0) positive += rank
  }
  const total = sum(ranks)
  // Twice the distance from an even split, so that it is a whole number.
  const distance = (ranksOfPositive: number) => Math.abs(2 * ranksOfPositive - total)
  const observed = distance(positive)
  if (ranks.length <= mostBlocksCounted) return shareAtLeast(signedRankShares(ranks, total), distance, observed)
  return estimateShare(drawsOf(ranks.length), seed, (random) => {
    let flipped = 0
    for (const rank of ranks) if (random() < 0.5) flipped += rank
    return distance(flipped) >= observed
  })
}

/**
 * Two-sided probability of a rank sum at least as far from its mean, if samples of both sides were alike: the labels are
 * dealt out anew. Of up to 40 samples every deal is counted, above some are drawn.
 * @param baseline at least one value
 * @param candidate at least one value
 */
export function unpairedPermutationTest(baseline: ArrayLike<number>, candidate: ArrayLike<number>, seed = 0): number {
  const ranks = doubledRanks([...Array.from(baseline), ...Array.from(candidate)])
  const ownRanks = ranks.subarray(baseline.length)
  const mean = (sum(ranks) * ownRanks.length) / ranks.length
  const distance = (rankSum: number) => Math.abs(rankSum - mean)
  // Sums of ranks are whole numbers; their mean need not be.
  const observed = distance(sum(ownRanks)) - 1e-6
  if (ranks.length <= mostSamplesCounted) {
    return shareAtLeast(rankSumShares(ranks, ownRanks.length), distance, observed)
  }
  const deck = Uint32Array.from(ranks)
  return estimateShare(drawsOf(ranks.length), seed, (random) => {
    let rankSum = 0
    for (let dealt = 0; dealt < ownRanks.length; dealt += 1) {
      const from = dealt + randomIndex(random, deck.length - dealt)
      const rank = deck[from] ?? 0
      deck[from] = deck[dealt] ?? 0
      deck[dealt] = rank
      rankSum += rank
    }
    return distance(rankSum) >= observed
  })
}

/** shares[s]: of all choices of signs, the share whose positive ranks add up to s. */
function signedRankShares(ranks: readonly number[], total: number): Float64Array {
  const shares = new Float64Array(total + 1)
  shares[0] = 1
  let reached = 0
  for (const rank of ranks) {
    reached += rank
    for (let at = reached; at >= 0; at -= 1) {
      shares[at] = ((shares[at] ?? 0) + (at >= rank ? (shares[at - rank] ?? 0) : 0)) / 2
    }
  }
  return shares
}

/** shares[s]: of all choices of `chosen` ranks, the share that adds up to s. */
function rankSumShares(ranks: Uint32Array, chosen: number): Float64Array {
  const total = sum(ranks)
  const width = total + 1
  // ways[count * width + s]: choices of `count` ranks that add up to s; fewer than 2^53 for 40 samples.
  const ways = new Float64Array((chosen + 1) * width)
  ways[0] = 1
  for (const rank of ranks) {
    for (let count = chosen; count > 0; count -= 1) {
      const row = count * width
      for (let at = total; at >= rank; at -= 1) {
        ways[row + at] = (ways[row + at] ?? 0) + (ways[row - width + at - rank] ?? 0)
      }
    }
  }
  const counted = ways.subarray(chosen * width)
  const all = sum(counted)
  return counted.map((count) => count / all)
}

function shareAtLeast(shares: Float64Array, distance: (value: number) => number, observed: number): number {
  let share = 0
  for (let value = 0; value < shares.length; value += 1) if (distance(value) >= observed) share += shares[value] ?? 0
  return Math.min(1, share)
}

/**
 * (b + 1) / (m + 1), the order that was drawn counting as one of them: so the probability is never 0 and the test keeps
 * its level (Phipson and Smyth, "Permutation P-values Should Never Be Zero", Statistical Applications in Genetics and
 * Molecular Biology 9, 2010, article 39).
 */
function estimateShare(draws: number, seed: number, asFar: (random: Random) => boolean): number {
  const random = seededRandom(seed)
  let reached = 0
  for (let draw = 0; draw < draws; draw += 1) if (asFar(random)) reached += 1
  return (reached + 1) / (draws + 1)
}

function sum(values: ArrayLike<number>): number {
  let total = 0
  for (let index = 0; index < values.length; index += 1) total += values[index] ?? 0
  return total
}
