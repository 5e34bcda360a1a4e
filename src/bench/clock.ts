/** Milliseconds from a monotonic clock of nanosecond resolution. */
export function now(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

/**
 * The smallest step the clock was seen to make, in milliseconds: the time of one call where the clock is finer than
 * that.
 */
export function clockResolution(read: () => number = now): number {
  let smallest = Number.POSITIVE_INFINITY
  let last = read()
  for (let seen = 0; seen < 500; ) {
    const time = read()
    if (time === last) continue
    smallest = Math.min(smallest, time - last)
    last = time
    seen += 1
  }
  return smallest
}
