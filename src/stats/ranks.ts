/**
 * Twice the rank of each value among all, counting from 1; equal values share the mean of their ranks. Twice, because
 * such means are halves and whole numbers add up exactly.
 */
export function doubledRanks(values: ArrayLike<number>): Uint32Array {
  const order = Uint32Array.from({ length: values.length }, (_, index) => index).sort(
    (a, b) => (values[a] ?? 0) - (values[b] ?? 0),
  )
  const ranks = new Uint32Array(values.length)
  for (let first = 0; first < order.length; ) {
    const value = values[order[first] ?? 0]
    let end = first + 1
    while (end < order.length && values[order[end] ?? 0] === value) end += 1
    for (let place = first; place < end; place += 1) ranks[order[place] ?? 0] = first + 1 + end
    first = end
  }
  return ranks
}
