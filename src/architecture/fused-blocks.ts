/**
 * How heads follow one another along the output axis of a projection, n query heads and kv K/V heads, in blocks of head
 * dim d:
 * byPart, all queries, all keys, all values;
 * byGroup, (kv, n / kv + 2, d), for each K/V head its queries, its key, its value. MHA's [q, k, v] of each head is that
 * with groups of one, and MQA's rows, all queries, one key, one value, are one group;
 * apart, a tensor each.
 */
export type HeadOrder = 'byPart' | 'byGroup' | 'apart'

/** The block of one head's matrix. */
export interface HeadBlock {
  projection: 'Q' | 'K' | 'V'
  /** the K/V head for K and V, the query head for Q */
  head: number
}

interface HeadCounts {
  heads: number
  kvHeads: number
}

/** Which block of the axis is the matrix of a head. */
export function blockOf(order: HeadOrder, { projection, head }: HeadBlock, { heads, kvHeads }: HeadCounts): number {
  if (order === 'apart') return head
  if (order === 'byPart') return { Q: 0, K: heads, V: heads + kvHeads }[projection] + head
  const inGroup = heads / kvHeads
  const groupStart = (group: number) => group * (inGroup + 2)
  switch (projection) {
    case 'Q':
      return groupStart(Math.floor(head / inGroup)) + (head % inGroup)
    case 'K':
      return groupStart(head) + inGroup
    case 'V':
      return groupStart(head) + inGroup + 1
  }
}

/**
 * Whose matrix a block of a fused tensor is: what `blockOf` undoes.
 * @param block from 0 to heads + 2 kvHeads - 1
 */
export function headOfBlock(order: Exclude<HeadOrder, 'apart'>, block: number, counts: HeadCounts): HeadBlock {
  const { heads, kvHeads } = counts
  if (order === 'byPart') {
    if (block < heads) return { projection: 'Q', head: block }
    return block < heads + kvHeads
      ? { projection: 'K', head: block - heads }
      : { projection: 'V', head: block - heads - kvHeads }
  }
  const inGroup = heads / kvHeads
  const group = Math.floor(block / (inGroup + 2))
  const place = block % (inGroup + 2)
  if (place < inGroup) return { projection: 'Q', head: group * inGroup + place }
  return { projection: place === inGroup ? 'K' : 'V', head: group }
}
