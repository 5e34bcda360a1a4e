/**
 * Which query heads share a K/V head, as one line: two columns a query head, a mark where a K/V head begins and a line
 * over the query heads it serves (`■━■━` two groups of two). Query head h uses K/V head floor(h / (heads / kvHeads)).
 */
export function sharingStrip(heads: number, kvHeads: number): string {
  const group = heads / kvHeads
  return Array.from({ length: heads }, (_, head) => {
    const first = head % group === 0
    const last = head % group === group - 1
    return `${first ? '■' : '━'}${last ? ' ' : '━'}`
  })
    .join('')
    .trimEnd()
}
