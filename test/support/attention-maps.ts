import type { HeadMatrix } from '../../src/render/head-groups.ts'

/** A causal map [size, size] whose rows sum to 1, with the first token and the diagonal above the rest, as heads often have. */
export function randomAttention(size: number, random: () => number): Float32Array {
  const map = new Float32Array(size * size)
  const [sink, local] = [4 * random(), 3 * random()]
  for (let query = 0; query < size; query++) {
    let sum = 0
    for (let key = 0; key <= query; key++) {
      const weight = Math.exp(random() + (key === 0 ? sink : 0) + local * Math.exp((key - query) / 3))
      map[query * size + key] = weight
      sum += weight
    }
    for (let key = 0; key <= query; key++) map[query * size + key] = (map[query * size + key] ?? 0) / sum
  }
  return map
}

/** Attention of each of a layer's query heads. */
export function attentionHeads(
  heads: number,
  kvHeads: number | null,
  size: number,
  random: () => number,
): HeadMatrix[] {
  return Array.from({ length: heads }, (_, head) => ({
    head,
    kvHead: kvHeads === null ? null : Math.floor((head * kvHeads) / heads),
    rows: size,
    columns: size,
    values: randomAttention(size, random),
  }))
}

/** W_K of each query head: heads that read the same K/V head have the same values. */
export function weightHeads(
  heads: number,
  kvHeads: number,
  rows: number,
  columns: number,
  random: () => number,
): HeadMatrix[] {
  const stored = Array.from({ length: kvHeads }, () =>
    Float32Array.from({ length: rows * columns }, () => 0.04 * (random() + random() + random() - 1.5)),
  )
  return Array.from({ length: heads }, (_, head) => {
    const kvHead = Math.floor((head * kvHeads) / heads)
    return { head, kvHead, rows, columns, values: stored[kvHead] ?? [] }
  })
}
