import type { AttentionKind } from './kind-style.ts'
import { formatRanges } from './text.ts'

/** Whose heads a picture shows. */
export interface PictureSubject {
  model: string
  kind: AttentionKind
  /** query heads of a layer */
  heads: number
  /** K/V heads of a layer; null where keys and values are no head's own (MLA) */
  kvHeads: number | null
  /** weights made from a seed: the picture says so in capitals */
  synthetic: boolean
}

/** Query heads that read a K/V head: head h reads K/V head floor(h / (heads / kvHeads)) (Ainslie et al. 2023). */
function headsOfKvHead({ heads, kvHeads }: PictureSubject, kvHead: number | null): number[] {
  const all = Array.from({ length: heads }, (_, head) => head)
  return kvHeads === null ? all : all.filter((head) => Math.floor((head * kvHeads) / heads) === kvHead)
}

/** `MQA: all 16 query heads read the one K/V head`. */
export function describeSharing({ kind, heads, kvHeads }: PictureSubject): string {
  if (kvHeads === null) return `${kind}: all ${heads} query heads read one compressed latent`
  if (heads === 1) return `${kind}: its one query head has a K and a V of its own`
  if (kvHeads === heads) return `${kind}: each of the ${heads} query heads has a K and a V of its own`
  if (kvHeads === 1) return `${kind}: all ${heads} query heads share one K and one V`
  return `${kind}: ${heads} query heads share ${kvHeads} K/V heads, ${formatNumberOf(heads / kvHeads)} query heads read each`
}

/** `GQA: reads K/V head 1, shared by heads 4-7`. */
export function describeHeadSharing(subject: PictureSubject, kvHead: number | null): string {
  const { kind, heads, kvHeads } = subject
  if (kvHeads === null || kvHead === null) return `${kind}: reads the one latent that all ${heads} heads share`
  if (kvHeads === heads) return `${kind}: K/V head ${kvHead} is this head's own`
  const readers = headsOfKvHead(subject, kvHead)
  if (kvHeads === 1) return `${kind}: reads K/V head 0, shared by all ${heads} heads`
  return `${kind}: reads K/V head ${kvHead}, shared by heads ${formatRanges(readers)}`
}

function formatNumberOf(count: number): string {
  return Number.isInteger(count) ? String(count) : count.toFixed(1)
}
