/** How a tensor holds K/V heads along one axis, row-major: `outer` times the axis, each entry `inner` values long. */
export interface HeadLayout {
  outer: number
  inner: number
  /** entries of the axis before the K/V heads: the queries of a fused projection */
  before: number
  /** runs of `kvHeads` heads one after the other: 2 where K and V are fused (q | k | v), else 1 */
  parts: number
  kvHeads: number
  headDim: number
}

/** MEAN: Ainslie et al. 2023 found it best. FIRST: the first head of each group, one of the paper's baselines. */
export type PoolMethod = 'MEAN' | 'FIRST'

/** Entries of the axis that holds the heads. */
export function headAxis({ before, parts, kvHeads, headDim }: HeadLayout): number {
  return before + parts * kvHeads * headDim
}

/**
 * Pools K/V heads into fewer: new head j stands for the r = kvHeads / pooledHeads neighbours j r to (j + 1) r - 1, as
 * the query heads of one KV group are neighbours (Ainslie et al. 2023, section 2.1 and figure 1). Means are taken in
 * float64.
 */
export function poolHeads(
  values: Float32Array,
  layout: HeadLayout,
  pooledHeads: number,
  method: PoolMethod,
): Float32Array {
  const { outer, inner, before, parts, kvHeads, headDim } = layout
  const replaced = kvHeads / pooledHeads
  const counted = method === 'MEAN' ? replaced : 1
  const head = headDim * inner
  const pooled = new Float32Array(outer * headAxis({ ...layout, kvHeads: pooledHeads }) * inner)
  let to = 0
  for (let row = 0; row < outer; row++) {
    const start = row * headAxis(layout) * inner
    pooled.set(values.subarray(start, start + before * inner), to)
    to += before * inner
    for (let part = 0; part < parts; part++) {
      const heads = start + (before + part * kvHeads * headDim) * inner
      for (let first = 0; first < kvHeads; first += replaced) {
        for (let at = heads + first * head; at < heads + (first + 1) * head; at++) {
          let sum = 0
          for (let other = 0; other < counted; other++) sum += values[at + other * head] ?? 0
          pooled[to++] = sum / counted
        }
      }
    }
  }
  return pooled
}
