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
import { mean, standardDeviation } from './summary.ts'

/** A value with a bootstrap interval; null where a point has under five samples. */
export interface FittedValue {
  value: number
  interval: Interval | null
}

export interface LinearFit {
  /** where the line is at 0 */
  fixed: FittedValue
  slope: FittedValue
  /** how far the points bend from the line at most, as a share of a point's time; negative: above in the middle */
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
const mostBend = 0.05

/**
 * A straight line through the medians of points, by least squares weighted with 1 / median^2: what disturbs a timing is
 * in proportion to it (constant coefficient of variation; Carroll and Ruppert, "Transformation and Weighting in
 * Regression", 1988, section 2.2), so that a short time's error counts as much as a long one's. Medians make a trial that
 * was disturbed harmless. Intervals are of the bootstrap within points, the x being chosen and not drawn (Efron and
 * Tibshirani 1993, section 9.5 and 8.3): of every point its trials are drawn anew, or all points' blocks at once where they
 * are paired, and the line is fitted again. Where unpaired points scatter about the curve more than their trials explain, as
 * on a machine that others slow down while one point is timed and not another, intervals are widened by Birge's ratio
 * sqrt(sum (residual / standard error)^2 / degrees of freedom) ("The calculation of errors by the method of least squares",
 * Physical Review 40, 1932): no trial of a point tells what was amiss with all of them.
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
  const reach = Math.max(...basis.square.map((own, index) => Math.abs(own) / (medians[index] ?? 1)))
  const read = (values: ArrayLike<number>) => {
    const slope = coefficient(basis.line, values, weights)
    const fixed = coefficient(basis.one, values, weights) - slope * basis.centre
    const bend = coefficient(basis.square, values, weights) * reach
    return { fixed, slope, bend }
  }
  const drawn = resampleMedians(points, options)
  const measured = read(medians)
  const widths = drawn === null ? noWidening : widenings(medians, drawn, basis, weights)
  const estimate = (name: keyof typeof measured): FittedValue => {
    const value = measured[name]
    if (drawn === null) return { value, interval: null }
    let resample = 0
    const draw = () => read(drawn.medians[resample++] ?? medians)[name]
    const { low, high, level } = percentileInterval(drawn.independent, draw, options)
    const by = widths[name === 'bend' ? 'parabola' : 'line']
    return { value, interval: { low: value - by * (value - low), high: value + by * (high - value), level } }
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
  return { one, line, square, centre }
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

const noWidening = { line: 1, parabola: 1 }

/** Birge's ratio about the line and about the parabola; 1 where it is less, or blocks are shared and nothing is left. */
function widenings(
  medians: readonly number[],
  { medians: resampled, together }: Resampled,
  { one, line, square }: ReturnType<typeof orthogonalBasis>,
  weights: readonly number[],
): typeof noWidening {
  if (together) return noWidening
  // A standard error of 0 is a clock's, and no point's.
  const errors = medians.map((value, index) =>
    Math.max(1e-9 * value, standardDeviation(resampled.map((each) => each[index] ?? value)) ?? 0),
  )
  const ratio = (members: readonly (readonly number[])[]) => {
    const sizes = members.map((member) => coefficient(member, medians, weights))
    const squares = medians.map((value, index) => {
      const fitted = members.reduce((sum, member, place) => sum + (sizes[place] ?? 0) * (member[index] ?? 0), 0)
      return ((value - fitted) / (errors[index] ?? 1)) ** 2
    })
    const degrees = medians.length - members.length
    return degrees < 1 ? 1 : Math.max(1, Math.sqrt(mean(squares) * (medians.length / degrees)))
  }
  return { line: ratio([one, line]), parabola: ratio([one, line, square]) }
}

interface Resampled {
  /** of all points, resample by resample */
  medians: Float64Array[]
  /** how many trials, or blocks of them, were drawn independently */
  independent: number
  /** blocks of all points were drawn as wholes */
  together: boolean
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
  return { medians, together, independent: together ? blocks : counted.reduce((sum, count) => sum + count, 0) }
}
