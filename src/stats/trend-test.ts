import { normalCdf } from './normal.ts'
import { median } from './quantile.ts'

/** Whether values rise or fall with their place in the list. */
export interface TrendTest {
  /** Mann and Kendall's S: pairs that rise less pairs that fall */
  score: number
  /** chance of a fall as strong as this, or stronger, where there is no trend */
  fallProbability: number
  /** chance of a trend as strong as this, or stronger, either way */
  probability: number
}

/** Up to so many values the distribution is counted out; beyond, it is near enough to normal. */
const mostCounted = 10

/**
 * Mann and Kendall's test for a monotone trend (Mann, "Nonparametric tests against trend", Econometrica 13, 1945;
 * Kendall, "Rank Correlation Methods", 1975): it asks of each pair which is greater, and so neither for normal noise nor
 * for a straight line. The distribution of S is counted out for ten values or fewer without ties; else it is normal with
 * the variance corrected for ties, and a step of one for continuity. Values next to each other must not depend on one
 * another otherwise: noise that lasts for several trials makes small probabilities too small.
 * @param values in the order in which they were taken
 */
export function mannKendall(values: readonly number[]): TrendTest {
  const score = kendallScore(values)
  const ties = tieSizes(values)
  const probabilityOf =
    values.length <= mostCounted && ties.length === 0
      ? (least: number) => countedTail(values.length, least)
      : (least: number) => normalTail(values.length, ties, least)
  return { score, fallProbability: probabilityOf(-score), probability: Math.min(1, 2 * probabilityOf(Math.abs(score))) }
}

/**
 * Theil and Sen's slope: the median of the slopes between all pairs (Sen, "Estimates of the regression coefficient based
 * on Kendall's tau", Journal of the American Statistical Association 63, 1968). Up to 29 % of the values may be anything.
 * @param values at least two, evenly spaced
 * @returns change from one value to the next, in their unit
 */
export function theilSenSlope(values: readonly number[]): number {
  const slopes = new Float64Array((values.length * (values.length - 1)) / 2)
  let pair = 0
  for (const [later, value] of values.entries()) {
    for (let earlier = 0; earlier < later; earlier += 1) {
      slopes[pair] = (value - (values[earlier] ?? value)) / (later - earlier)
      pair += 1
    }
  }
  return median(slopes)
}

function kendallScore(values: readonly number[]): number {
  let score = 0
  for (const [later, value] of values.entries()) {
    for (let earlier = 0; earlier < later; earlier += 1) score += Math.sign(value - (values[earlier] ?? value))
  }
  return score
}

/** How many values share each value that occurs more than once. */
function tieSizes(values: readonly number[]): number[] {
  const counts = new Map<number, number>()
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1)
  return [...counts.values()].filter((count) => count > 1)
}

/** Share of the orders of `count` different values whose S is at least `least`, by the numbers of inversions. */
function countedTail(count: number, least: number): number {
  let orders = [1]
  for (let size = 2; size <= count; size += 1) {
    const longer = new Array<number>(orders.length + size - 1).fill(0)
    for (const [inversions, ways] of orders.entries()) {
      for (let more = 0; more < size; more += 1) longer[inversions + more] = (longer[inversions + more] ?? 0) + ways
    }
    orders = longer
  }
  const pairs = (count * (count - 1)) / 2
  const all = orders.reduce((sum, ways) => sum + ways, 0)
  // An order of I inversions has S = pairs - 2 I.
  return orders.reduce((sum, ways, inversions) => (pairs - 2 * inversions >= least ? sum + ways : sum), 0) / all
}

function normalTail(count: number, ties: readonly number[], least: number): number {
  const spread = (size: number) => size * (size - 1) * (2 * size + 5)
  const variance = (spread(count) - ties.reduce((sum, size) => sum + spread(size), 0)) / 18
  if (variance <= 0) return 1
  return 1 - normalCdf((least - 1) / Math.sqrt(variance))
}
