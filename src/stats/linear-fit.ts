import {
  type BootstrapOptions,
  drawCounts,
  fewestForInterval,
  type Interval,
  percentileInterval,
  rank,
  resampledMedian,
} from './bootstrap.ts'
import { median } from './quantile.ts'
import { seededRandom } from './random.ts'
import { mean } from './summary.ts'

/** A value with a bootstrap interval; null where a point has under five samples. */
export interface FittedValue {
  value: number
  interval: Interval | null
}

export interface LinearFit {
  /** where the line is at 0 */
  fixed: FittedValue
  slope: FittedValue
  /** how far the points bend from the line at most, as a share of their mean; negative: they are above it in the middle */
  bend: FittedValue
  /** beyond noise and beyond `mostBend`: the line does not describe the points */
  curved: boolean
}

export interface FitPoint {
  x: number
  /** at least one positive value */
  samples: readonly number[]
}

export interface FitOptions extends BootstrapOptions {
  /** sample i of every point was taken in the same block: blocks are resampled as wholes, so that noise they share cancels */
  paired?: boolean
}

/** A bend under this share of the times is no reason to doubt the line, however surely it was measured. */
export const mostBend = 0.05

/**
 * A straight line through the medians of points, by least squares weighted with 1 / median^2: what disturbs a timing is
 * in proportion to it (constant coefficient of variation; Carroll and Ruppert, "Transformation and Weighting in
 * Regression", 1988, section 2.2), so that a short time's error counts as much as a long one's. Medians make a trial that
 * was disturbed harmless. Intervals are of the bootstrap within points, the x being chosen and not drawn (Efron and
 * Tibshirani 1993, section 9.5 and 8.3): of every point its trials are drawn anew, or all points' blocks at once where they
 * are paired, and the line is fitted again.
 *
 * Whether a line is what the points show is asked with the term of second degree, made orthogonal to the line (Draper and
 * Smith, "Applied Regression Analysis", 1998, chapter 22): a bend whose interval excludes 0 and that is greater than
 * `mostBend`.
 * @param points with at least three different x
 * @returns null with fewer
 */
export function fitLine(points: readonly FitPoint[], options: FitOptions = {}): LinearFit | null {
  const xs = points.map(({ x }) => x)
  if (new Set(xs).size < 3) return null
  const medians = points.map(({ samples }) => median(samples))
  const weights = medians.map((value) => 1 / value ** 2)
  const basis = orthogonalBasis(xs, weights)
  const level = mean(medians)
  const read = (values: ArrayLike<number>) => {
    const slope = coefficient(basis.line, values, weights)
    const fixed = coefficient(basis.one, values, weights) - slope * basis.centre
    const bend = (coefficient(basis.square, values, weights) * basis.reach) / level
    return { fixed, slope, bend }
  }
  const drawn = resampleMedians(points, options)
  const measured = read(medians)
  const estimate = (name: keyof typeof measured): FittedValue => {
    if (drawn === null) return { value: measured[name], interval: null }
    let resample = 0
    const draw = () => read(drawn.medians[resample++] ?? medians)[name]
    return { value: measured[name], interval: percentileInterval(drawn.independent, draw, options) }
  }
  const bend = estimate('bend')
  const { interval } = bend
  // Without an interval nothing tells the bend from noise: then its size decides.
  const sure = interval === null || interval.low > 0 || interval.high < 0
  return {
    fixed: estimate('fixed'),
    slope: estimate('slope'),
    bend,
    curved: sure && Math.abs(bend.value) > mostBend,
  }
}

/** 1, x - centre and a parabola, orthogonal to each other under the weights (Gram and Schmidt). */
function orthogonalBasis(xs: readonly number[], weights: readonly number[]) {
  const one = xs.map(() => 1)
  const centre = coefficient(one, xs, weights)
  const line = xs.map((x) => x - centre)
  const squares = line.map((x) => x * x)
  const level = coefficient(one, squares, weights)
  const slope = coefficient(line, squares, weights)
  const square = squares.map((value, index) => value - level - slope * (line[index] ?? 0))
  return { one, line, square, centre, reach: Math.max(...square.map(Math.abs)) }
}

/** Weighted least squares of the values on one member of the basis. */
function coefficient(member: readonly number[], values: ArrayLike<number>, weights: readonly number[]): number {
  let above = 0
  let below = 0
  for (const [index, own] of member.entries()) {
    const weight = weights[index] ?? 0
    above += weight * own * (values[index] ?? 0)
    below += weight * own * own
  }
  return above / below
}

interface Resampled {
  /** of all points, resample by resample */
  medians: Float64Array[]
  /** how many trials, or blocks of them, were drawn independently */
  independent: number
}

/** Medians of all points in each resample; null where a point has too few samples. */
function resampleMedians(points: readonly FitPoint[], options: FitOptions): Resampled | null {
  const { resamples = 2000, seed = 0, paired = false } = options
  const counted = points.map(({ samples }) => samples.length)
  const blocks = Math.min(...counted)
  if (blocks < fewestForInterval) return null
  const together = paired && counted.every((count) => count === blocks)
  const random = seededRandom(seed)
  const ranked = points.map(({ samples }) => rank(samples))
  const shared = new Uint32Array(blocks)
  const draws = together ? [shared] : counted.map((count) => new Uint32Array(count))
  const medians = Array.from({ length: resamples }, () => {
    for (const counts of draws) drawCounts(counts, random)
    return Float64Array.from(ranked, (one, index) => resampledMedian(one, draws[index] ?? shared))
  })
  return { medians, independent: together ? blocks : counted.reduce((sum, count) => sum + count, 0) }
}
