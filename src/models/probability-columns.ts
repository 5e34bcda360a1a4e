/** What one layer's queries of a step give to the keys: [batch, heads, new tokens, cached + new tokens]. */
export interface AttentionProbabilities {
  /** half-floats as their bits where the graph rounds them */
  data: Float32Array | Uint16Array
  dims: readonly [number, number, number, number]
}

/**
 * Puts the columns of probabilities in the order of positions: [B, H, S, fed rows + S] -> [B, H, S, past + S]. Spare rows
 * of the cache are cut out, a ring's are put back where their tokens stand, and those that a window has left behind are 0.
 * @param past cached tokens
 * @param window of the ring that the fed rows lie in; null where they lie in order
 */
export function columnsByPosition(
  { data, dims }: Pick<AttentionProbabilities, 'data'> & { dims: readonly number[] },
  past: number,
  window: number | null,
): AttentionProbabilities {
  const [batch = 0, heads = 0, queries = 0, columns = 0] = dims
  const kept = past + queries
  const wrapped = window !== null && past > window
  if (columns === kept && !wrapped) return { data, dims: [batch, heads, queries, columns] }
  const rows = batch * heads * queries
  const ordered = data instanceof Float32Array ? new Float32Array(rows * kept) : new Uint16Array(rows * kept)
  for (let row = 0; row < rows; row++) {
    const [from, to] = [row * columns, row * kept]
    if (wrapped) {
      // The oldest token lies where the next one goes.
      const oldest = past % window
      ordered.set(data.subarray(from + oldest, from + window), to + past - window)
      ordered.set(data.subarray(from, from + oldest), to + past - oldest)
    } else {
      ordered.set(data.subarray(from, from + past), to)
    }
    ordered.set(data.subarray(from + columns - queries, from + columns), to + past)
  }
  return { data: ordered, dims: [batch, heads, queries, kept] }
}
