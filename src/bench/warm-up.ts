/** Trials before the timed ones, at most. */
const mostWarmUps = 5

/** Fall from the first to the last of three trials below which they count as level. */
const levelShare = 0.03

/**
 * Whether a subject is warm: its last three trials show no downward trend, that is, they do not fall twice in a row by
 * more than 3 % in all. One trial is the least, and `mostWarmUps` the end of patience.
 * @param times milliseconds of the warm-up trials so far, in their order
 */
export function isWarm(times: readonly number[]): boolean {
  if (times.length >= mostWarmUps) return true
  const [first, second, third] = times.slice(-3)
  if (first === undefined || second === undefined || third === undefined) return false
  return !(first > second && second > third && third < first * (1 - levelShare))
}
