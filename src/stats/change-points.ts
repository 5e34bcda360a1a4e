import { fewestForInterval, type Interval } from './bootstrap.ts'
import { median } from './quantile.ts'
import { type Random, randomIndex, seededRandom } from './random.ts'
import { ratioOfMedians } from './ratio.ts'

/** A place where the level of a series changed. */
export interface LevelChange {
  /** of the first value of the new level */
  index: number
  /** median level after / before, from the change before to the one after it */
  ratio: number
  /** bootstrap interval of the ratio */
  interval: Interval | null
}

/** Each side of a change has at least as many values, so that its median has an interval. */
const shortestLevel = fewestForInterval

/** Of 100 series of independent values from one distribution, so many show a change. */
const falseAlarms = 0.01

/** With 99, none may have a split as clear. */
const permutations = 99

/** Levels nearer to each other than this share are told as one: no use is known for so small a change. */
const leastChange = 0.005

/** Kovacs et al.: each layer's intervals are this much shorter than the last's. */
const decay = Math.SQRT1_2

/** Beyond so many resampled values an interval gains nothing that is seen: long levels have fewer resamples. */
const mostResampled = 400_000

/**
 * Where the level of a series changed, by seeded binary segmentation (Kovacs, Buehlmann, Li and Munk, "Seeded binary
 * segmentation", Biometrika 110, 2023): the two sides of every split of every seeded interval are compared, the clearest
 * split is a change if it is significant, and both parts are searched again. What is compared are mean ranks (Wilcoxon
 * 1945; Pettitt, "A non-parametric approach to the change-point problem", Applied Statistics 28, 1979), so that an
 * outlier counts for no more than its place. Significance is by permuting the searched part, as E-divisive does
 * (Matteson and James, JASA 109, 2014), which MongoDB's and Hunter's change detection rest on (Daly et al., ICPE 2020;
 * Fleming et al., ICPE 2023): no distribution is assumed, but that values of one level are exchangeable.
 *
 * Ranks make a level of fewer than about seven values insignificant, however far away it is. A steady drift shows as steps.
 * @param values above 0, oldest first
 * @param seed of the permutations and resamples: the same values and seed give the same changes
 */
export function findLevelChanges(values: ArrayLike<number>, seed = 0): LevelChange[] {
  const series = Float64Array.from(values)
  let changes = placeBetween(series, search(series, seededRandom(seed)))
  for (;;) {
    const weakest = weakestChange(series, changes)
    if (weakest === null) break
    changes = placeBetween(
      series,
      changes.filter((change) => change !== weakest),
    )
  }
  return changes.map((index, place) => ({ index, ...ratioAround(series, changes, place, seed) }))
}

/** The first indices of new levels, rising. */
function search(series: Float64Array, random: Random): number[] {
  const found: number[] = []
  const open: [from: number, to: number][] = [[0, series.length]]
  for (let part = open.pop(); part !== undefined; part = open.pop()) {
    const [from, to] = part
    if (to - from < 2 * shortestLevel) continue
    const split = significantSplit(series.subarray(from, to), random)
    if (split === null) continue
    found.push(from + split)
    open.push([from, from + split], [from + split, to])
  }
  return found.sort((a, b) => a - b)
}

/** The clearest split of a part, if fewer than `falseAlarms` of its permutations have one as clear; else null. */
function significantSplit(part: Float64Array, random: Random): number | null {
  const ranks = midranks(part)
  const intervals = seededIntervals(part.length)
  const { clarity, split } = clearestSplit(ranks, intervals)
  if (clarity === 0) return null
  const most = Math.floor(falseAlarms * (permutations + 1)) - 1
  let asClear = 0
  for (let count = 0; count < permutations; count += 1) {
    shuffle(ranks, random)
    if (clearestSplit(ranks, intervals, clarity).clarity >= clarity) asClear += 1
    if (asClear > most) return null
  }
  return split
}

/**
 * Every change moved to where the values on both sides lie nearest to their levels, by the sum of absolute differences
 * of logarithms: the search saw ranks, and not yet all neighbours.
 */
function placeBetween(series: Float64Array, changes: readonly number[]): number[] {
  const placed = [...changes]
  for (const place of placed.keys()) {
    const from = placed[place - 1] ?? 0
    const to = placed[place + 1] ?? series.length
    const [before, after] = levelsAround(series, placed, place).map((side) => Math.log(median(side)))
    if (before === undefined || after === undefined) continue
    let excess = 0
    let least = Number.POSITIVE_INFINITY
    for (let index = from; index <= to - shortestLevel; index += 1) {
      if (index >= from + shortestLevel && excess < least) {
        least = excess
        placed[place] = index
      }
      const value = Math.log(series[index] ?? 0)
      excess += Math.abs(value - before) - Math.abs(value - after)
    }
  }
  return placed
}

/** The change with the nearest levels, where they are too near; else null. */
function weakestChange(series: Float64Array, changes: readonly number[]): number | null {
  let weakest: number | null = null
  let nearest = Math.log1p(leastChange)
  for (const [place, change] of changes.entries()) {
    const [before, after] = levelsAround(series, changes, place)
    const { ratio } = ratioOfMedians(before, after, { resamples: 1 })
    const distance = Math.abs(Math.log(ratio))
    if (distance >= nearest) continue
    weakest = change
    nearest = distance
  }
  return weakest
}

function ratioAround(series: Float64Array, changes: readonly number[], place: number, seed: number) {
  const [before, after] = levelsAround(series, changes, place)
  const resamples = Math.min(2000, Math.max(400, Math.floor(mostResampled / (before.length + after.length))))
  return ratioOfMedians(before, after, { resamples, seed })
}

function levelsAround(series: Float64Array, changes: readonly number[], place: number): [Float64Array, Float64Array] {
  const change = changes[place]
  return [series.subarray(changes[place - 1] ?? 0, change), series.subarray(change, changes[place + 1])]
}

/** Intervals [from, to) in layers, from the whole to twice the shortest level, each layer with an even spread. */
function seededIntervals(length: number): [from: number, to: number][] {
  const intervals: [number, number][] = []
  for (let layer = 0; ; layer += 1) {
    const width = length * decay ** layer
    if (width < 2 * shortestLevel) return intervals
    const count = 2 * Math.ceil(decay ** -layer) - 1
    const shift = count === 1 ? 0 : (length - width) / (count - 1)
    for (let place = 0; place < count; place += 1) {
      intervals.push([Math.floor(place * shift), Math.min(length, Math.ceil(place * shift + width))])
    }
  }
}

/**
 * The split whose sides' mean ranks lie furthest apart: its squared standardised distance, in units of the variance that
 * permuting the interval gives, and the index of the first value of its right side.
 * @param enough once a split is as clear as this, others are not looked for
 */
function clearestSplit(
  ranks: Float64Array,
  intervals: readonly (readonly [number, number])[],
  enough = Number.POSITIVE_INFINITY,
): { clarity: number; split: number } {
  const sums = new Float64Array(ranks.length + 1)
  const squares = new Float64Array(ranks.length + 1)
  for (let index = 0; index < ranks.length; index += 1) {
    const rank = ranks[index] ?? 0
    sums[index + 1] = (sums[index] ?? 0) + rank
    squares[index + 1] = (squares[index] ?? 0) + rank * rank
  }
  let clarity = 0
  let split = 0
  for (const [from, to] of intervals) {
    const length = to - from
    const first = sums[from] ?? 0
    const total = (sums[to] ?? 0) - first
    const spread = (squares[to] ?? 0) - (squares[from] ?? 0) - (total * total) / length
    // All ranks alike, but for rounding.
    if (spread < 1e-6) continue
    const variance = spread / (length - 1)
    const mean = total / length
    for (let left = shortestLevel; left <= length - shortestLevel; left += 1) {
      const excess = (sums[from + left] ?? 0) - first - left * mean
      const found = (excess * excess * length) / (left * (length - left) * variance)
      if (found <= clarity) continue
      clarity = found
      split = from + left
      if (clarity >= enough) return { clarity, split }
    }
  }
  return { clarity, split }
}

/** Ranks around 0; values that are alike share their mean rank. */
function midranks(values: Float64Array): Float64Array {
  const order = Uint32Array.from(values.keys()).sort((a, b) => (values[a] ?? 0) - (values[b] ?? 0))
  const ranks = new Float64Array(values.length)
  const centre = (values.length - 1) / 2
  for (let first = 0; first < order.length; ) {
    let last = first
    while (last + 1 < order.length && values[order[last + 1] ?? 0] === values[order[first] ?? 0]) last += 1
    for (let place = first; place <= last; place += 1) ranks[order[place] ?? 0] = (first + last) / 2 - centre
    first = last + 1
  }
  return ranks
}

function shuffle(values: Float64Array, random: Random): void {
  for (let last = values.length - 1; last > 0; last -= 1) {
    const other = randomIndex(random, last + 1)
    const held = values[last] ?? 0
    values[last] = values[other] ?? 0
    values[other] = held
  }
}
