/**
 * The K/V head that a query head reads: neighbours share one (Ainslie et al. 2023, section 2.1 and figure 2).
 * @param kvHeads a divisor of `heads`
 */
export function kvHeadOf(head: number, heads: number, kvHeads: number): number {
  return Math.floor(head / (heads / kvHeads))
}

/** The query heads of each K/V head, ascending. */
export function kvGroups(heads: number, kvHeads: number): number[][] {
  const each = heads / kvHeads
  return Array.from({ length: kvHeads }, (_, group) => Array.from({ length: each }, (_, head) => group * each + head))
}
