import { largestDifference, type Matrix } from './matrix.ts'

/** A matrix of one query head, with the K/V head that it reads (null where keys and values are no head's own: MLA). */
export interface HeadMatrix extends Matrix {
  head: number
  kvHead: number | null
}

/** Neighbouring query heads of a picture that read the same K/V head. */
export interface HeadGroup<Head extends { head: number; kvHead: number | null }> {
  kvHead: number | null
  heads: readonly Head[]
}

/** Splits heads, in their order, where the K/V head that they read changes. */
export function groupHeads<Head extends { head: number; kvHead: number | null }>(
  heads: readonly Head[],
): HeadGroup<Head>[] {
  const groups: { kvHead: number | null; heads: Head[] }[] = []
  for (const head of heads) {
    const group = groups.at(-1)
    if (group !== undefined && group.kvHead === head.kvHead) group.heads.push(head)
    else groups.push({ kvHead: head.kvHead, heads: [head] })
  }
  return groups
}

/** The largest difference between a group's first matrix and its others. */
function differenceWithin({ heads }: HeadGroup<HeadMatrix>): number {
  const first = heads[0]?.values ?? []
  return Math.max(0, ...heads.map(({ values }) => largestDifference(first, values)))
}

/**
 * Whether a picture draws what several heads read once: K, V or DKV matrices that are the same to the last bit, unless each
 * head's own view is asked for. Attention and all other matrices belong to each head.
 */
export function drawsOnce(picture: {
  heads: readonly HeadMatrix[]
  quantity: { name: 'attention' } | { name: 'weights'; projection: string }
  view?: 'shared' | 'heads'
}): boolean {
  const { heads, quantity, view = 'shared' } = picture
  if (view !== 'shared' || quantity.name !== 'weights') return false
  const { projection } = quantity
  // What makes the latent is no K/V head's.
  const isShared = (kvHead: number | null) => (kvHead === null ? projection === 'DKV' : ['K', 'V'].includes(projection))
  return groupHeads(heads).every((group) => isShared(group.kvHead) && differenceWithin(group) === 0)
}

/**
 * Columns of a grid of heads: 4 for 16, 8 for 32, else near a square and up to twice as wide as high. Rows that are full
 * and groups that a row's end does not cut come first; a group that fills whole rows is not cut.
 * @param sizes heads of each group, in order
 */
export function gridColumns(sizes: readonly number[]): number {
  const count = sizes.reduce((sum, size) => sum + size, 0)
  if (count <= 4) return Math.max(1, count)
  const least = Math.ceil(Math.sqrt(count))
  let best = least
  let bestPenalty = Number.POSITIVE_INFINITY
  for (let columns = least; columns <= Math.min(16, 2 * least); columns++) {
    const penalty = (cutsGroups(sizes, columns) ? 2 : 0) + (count % columns === 0 ? 0 : 1)
    if (penalty < bestPenalty) {
      best = columns
      bestPenalty = penalty
    }
  }
  return best
}

function cutsGroups(sizes: readonly number[], columns: number): boolean {
  let start = 0
  for (const size of sizes) {
    const column = start % columns
    if (column !== 0 && column + size > columns) return true
    start += size
  }
  return false
}
