import { kvGroups } from './kv-groups.ts'
import type { HeadSharingRow } from './rows.ts'
import { weightLikeness } from './weight-likeness.ts'

/**
 * Which of a layer's query heads have the same matrix, and how alike the whole matrices are, by pair of query heads.
 * Heads are grouped by equal values; that is by construction where the groups are those that read one K/V head, and by
 * value alone where heads have matrices of their own and yet equal ones, as in grouped K/V heads stored once for each
 * query head.
 * @param matrices whole ones, [d_model, d_head] row-major, so that CKA takes the model's dimensions (MLA: the latent's) as
 * its samples; as many as K/V heads for K and V, one for DKV, as query heads for the others
 * @param modelSize rows of each
 * @param heads query heads of the layer
 */
export function shareOf(
  matrices: readonly Float32Array[],
  modelSize: number,
  heads: number,
): Omit<HeadSharingRow, 'layer' | 'projection'> {
  const readers = kvGroups(heads, matrices.length)
  const ofMatrices = weightLikeness(matrices, modelSize, (matrices[0]?.length ?? 0) / modelSize)
  const byHead = (values: readonly (readonly number[])[]) =>
    readers.flatMap((group, one) =>
      group.map(() => readers.flatMap((others, other) => others.map(() => values[one]?.[other] ?? 0))),
    )
  return {
    groups: ofMatrices.groups.map((equal) => equal.flatMap((matrix) => readers[matrix] ?? [])),
    byConstruction: matrices.length < heads && ofMatrices.groups.length === matrices.length,
    maxDifference: byHead(ofMatrices.maxDifference),
    cosine: byHead(ofMatrices.cosine),
    cka: byHead(ofMatrices.cka),
  }
}
