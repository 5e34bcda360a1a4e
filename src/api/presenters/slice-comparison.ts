import type { RunRow } from '../../db/rows.ts'
import type { StoredMatrix } from '../../db/weight-slices.ts'
import type { Projection } from '../../heads/rows.ts'

/** A run with what is stored of its slices, without their values. */
export interface SlicedRun {
  run: RunRow
  matrices: readonly StoredMatrix[]
}

/** Two stored matrices of one shape, and the query heads whose slices they are in both runs. */
export interface MatrixPair {
  baseline: StoredMatrix
  candidate: StoredMatrix
  heads: number[]
}

/** The slices that both runs have in the same shape. Heads that share a matrix in both are one pair. */
export function pairMatrices(baseline: SlicedRun, candidate: SlicedRun): MatrixPair[] {
  const placeOf = ({ layer, projection }: StoredMatrix) => `${layer} ${projection}`
  const others = new Map<string, StoredMatrix[]>()
  for (const matrix of candidate.matrices) others.set(placeOf(matrix), [...(others.get(placeOf(matrix)) ?? []), matrix])
  return baseline.matrices.flatMap((before) =>
    (others.get(placeOf(before)) ?? []).flatMap((after) => {
      if (after.rows !== before.rows || after.columns !== before.columns) return []
      const heads = before.heads.filter((head) => after.heads.includes(head))
      return heads.length === 0 ? [] : [{ baseline: before, candidate: after, heads }]
    }),
  )
}

/** Why slices of one run have no partner in the other. */
export function wholeReasons(baseline: SlicedRun, candidate: SlicedRun): string[] {
  const { id } = candidate.run
  const none = [baseline, candidate].filter(({ matrices }) => matrices.length === 0)
  if (none.length > 0) return none.map(({ run }) => `run ${run.id} has no slices: it is ${run.status}`)
  return [
    ...onlyInOne('layers', baseline, candidate, ({ layer }) => [layer]),
    ...onlyInOne('projections', baseline, candidate, ({ projection }) => [projection]),
    ...onlyInOne('heads', baseline, candidate, ({ heads }) => heads),
    ...[...sizesOf(baseline)].flatMap(([projection, size]) => {
      const other = sizesOf(candidate).get(projection) ?? size
      return other === size ? [] : [`sizes of W_${projection} differ: ${size} in the baseline, ${other} in run ${id}`]
    }),
  ]
}

function onlyInOne(
  what: string,
  baseline: SlicedRun,
  candidate: SlicedRun,
  read: (matrix: StoredMatrix) => readonly (number | string)[],
): string[] {
  const before = new Set(baseline.matrices.flatMap(read))
  const after = new Set(candidate.matrices.flatMap(read))
  const sides = [
    { only: [...before].filter((value) => !after.has(value)), where: 'in the baseline' },
    { only: [...after].filter((value) => !before.has(value)), where: `in run ${candidate.run.id}` },
  ]
  const parts = sides.filter(({ only }) => only.length > 0).map(({ only, where }) => `${only.join(', ')} only ${where}`)
  return parts.length === 0 ? [] : [`${what} differ: ${parts.join('; ')}`]
}

function sizesOf({ matrices }: SlicedRun): Map<Projection, string> {
  return new Map(matrices.map(({ projection, rows, columns }) => [projection, `[${rows}, ${columns}]`]))
}
