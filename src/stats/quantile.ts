/** The values in rising order, as a new array. */
export function inRisingOrder(values: ArrayLike<number>): Float64Array {
  return Float64Array.from(values).sort()
}

/**
 * The p-quantile of values in rising order by linear interpolation between order statistics: type 7 of Hyndman and Fan,
 * "Sample Quantiles in Statistical Packages", The American Statistician 50 (1996), as R and NumPy do by default.
 * @param rising at least one value, in rising order
 * @param p from 0 to 1
 */
export function quantile(rising: ArrayLike<number>, p: number): number {
  const position = (rising.length - 1) * p
  const below = Math.floor(position)
  const low = rising[below]
  if (low === undefined) throw new RangeError('a quantile needs at least one value')
  const high = rising[below + 1] ?? low
  return low + (position - below) * (high - low)
}

/** @param values at least one, in any order */
export function median(values: ArrayLike<number>): number {
  return quantile(inRisingOrder(values), 0.5)
}
