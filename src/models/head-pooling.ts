/** How a tensor holds K/V heads along one axis, row-major: `outer` times the axis, each entry `inner` values long. */
export interface HeadLayout {
  outer: number
  inner: number
  /**
   * what the axis holds: K or V heads alone; all query heads, all K, all V; or, grouped, for each K/V head its query
   * heads, its K, its V
   */
  order: 'ALONE' | 'SIDE_BY_SIDE' | 'GROUPED'
  /** query heads; 0 where K or V stand alone */
  queries: number
  kvHeads: number
  headDim: number
}

/** MEAN: Ainslie et al. 2023 found it best. FIRST: the first head of each group, one of the paper's baselines. */
export type PoolMethod = 'MEAN' | 'FIRST'

/** Entries of the axis that holds the heads. */
export function headAxis({ order, queries, kvHeads, headDim }: HeadLayout): number {
  return (queries + (order === 'ALONE' ? 1 : 2) * kvHeads) * headDim
}

/** Where one head of the pooled axis comes from, in heads of the source's axis: one, or the mean of several. */
type Origin = readonly number[]

/**
 * Pools K/V heads into fewer: new head j stands for the r = kvHeads / pooledHeads neighbours j r to (j + 1) r - 1, as
 * the query heads of one KV group are neighbours (Ainslie et al. 2023, section 2.1 and figure 1). Query heads stay, in
 * their order. Means are taken in float64.
 */
export function poolHeads(
  values: Float32Array,
  layout: HeadLayout,
  pooledHeads: number,
  method: PoolMethod,
): Float32Array {
  const { outer, inner, headDim } = layout
  const origins = originsOf(layout, pooledHeads, method)
  const head = headDim * inner
  const pooled = new Float32Array(outer * origins.length * head)
  let to = 0
  for (let row = 0; row < outer; row++) {
    const start = row * headAxis(layout) * inner
    for (const heads of origins) {
      const [only = 0] = heads
      if (heads.length === 1) {
        pooled.set(values.subarray(start + only * head, start + (only + 1) * head), to)
        to += head
        continue
      }
      for (let at = 0; at < head; at++) {
        let sum = 0
        for (const other of heads) sum += values[start + other * head + at] ?? 0
        pooled[to++] = sum / heads.length
      }
    }
  }
  return pooled
}

function originsOf({ order, queries, kvHeads }: HeadLayout, pooledHeads: number, method: PoolMethod): Origin[] {
  const replaced = kvHeads / pooledHeads
  const inGroup = queries / kvHeads
  const groups = Array.from({ length: pooledHeads }, (_, pooled) =>
    Array.from({ length: replaced }, (_, other) => pooled * replaced + other),
  )
  /** One pooled head for each new group, of the source heads that `place` puts its old groups' at. */
  const shared = (old: readonly number[], place: (group: number) => number): Origin =>
    old.slice(0, method === 'MEAN' ? replaced : 1).map(place)
  const ownOf = (first: number, count: number): Origin[] => Array.from({ length: count }, (_, index) => [first + index])

  switch (order) {
    case 'ALONE':
      return groups.map((old) => shared(old, (group) => group))
    case 'SIDE_BY_SIDE':
      return [
        ...ownOf(0, queries),
        ...groups.map((old) => shared(old, (group) => queries + group)),
        ...groups.map((old) => shared(old, (group) => queries + kvHeads + group)),
      ]
    case 'GROUPED': {
      const start = (group: number) => group * (inGroup + 2)
      return groups.flatMap((old) => [
        ...old.flatMap((group) => ownOf(start(group), inGroup)),
        shared(old, (group) => start(group) + inGroup),
        shared(old, (group) => start(group) + inGroup + 1),
      ])
    }
  }
}
