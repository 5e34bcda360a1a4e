import type { Subject } from './benchmark-run.ts'
import type { ComparedHeads, HeadSharing } from './weight-run.ts'

/** What a layer's heads share of one projection, in figures over whole matrices. */
export interface SharedHeads {
  /** matrices that are stored, and query heads */
  stored: number
  heads: number
  /** heads that read each matrix, where all are read by equally many */
  readers: number | null
  /** largest difference of two heads that have the same matrix; null where none have */
  within: number | null
  /**
   * how near two heads with different matrices come: the least of their largest differences, the most of their cosines
   * (without sign) and CKA; null where all heads have the same
   */
  between: { difference: number; cosine: number; cka: number } | null
}

/** Sums up what the API says of each pair of heads. */
export function sumUpSharing({ groups, maxDifference, cosine, cka }: HeadSharing): SharedHeads {
  const groupOf = new Map(groups.flatMap((group, index) => group.map((head) => [head, index] as const)))
  const heads = maxDifference.length
  const pairs = Array.from({ length: heads }, (_, a) => Array.from({ length: a }, (_, b) => ({ a, b }))).flat()
  const same = pairs.filter(({ a, b }) => groupOf.get(a) === groupOf.get(b))
  const different = pairs.filter(({ a, b }) => groupOf.get(a) !== groupOf.get(b))
  const figures = (matrix: readonly (readonly number[])[]) => different.map(({ a, b }) => matrix[a]?.[b] ?? 0)
  const sizes = new Set(groups.map((group) => group.length))
  return {
    stored: groups.length,
    heads,
    readers: sizes.size === 1 ? ([...sizes][0] ?? null) : null,
    within: same.length === 0 ? null : Math.max(...same.map(({ a, b }) => maxDifference[a]?.[b] ?? 0)),
    between:
      different.length === 0
        ? null
        : {
            difference: Math.min(...figures(maxDifference)),
            cosine: Math.max(...figures(cosine).map(Math.abs)),
            cka: Math.max(...figures(cka)),
          },
  }
}

const bytesPerWeight = { F32: 4, F16: 2, BF16: 2 } as const

/** Bytes that one head's whole matrix takes in the checkpoint; null where its dtype is not known, and of MLA. */
export function matrixBytes(
  { model, dtype }: Subject,
  { projection }: Pick<ComparedHeads, 'projection'>,
): number | null {
  if (dtype === null || model.attentionKind === 'MLA') return null
  const width = projection === 'Q' || projection === 'K' ? model.keyDim : model.valueDim
  return model.hiddenSize * width * bytesPerWeight[dtype]
}

/** Who reads each matrix, in words. */
export function readBy({ stored, heads, readers }: SharedHeads): string {
  if (readers === null) return `${heads} heads`
  if (readers === 1) return '1 head each'
  return stored === 1 ? `all ${heads} heads` : `${readers} heads each`
}

/** Two or three digits; 0 is the exact 0 alone. */
export function shortNumber(value: number): string {
  if (value === 0) return '0'
  const size = Math.abs(value)
  if (size < 0.001) return value.toExponential(1)
  return size < 0.1 ? value.toPrecision(2) : value.toFixed(2)
}
