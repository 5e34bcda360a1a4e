import { findMatrices } from '../../db/weight-slices.ts'
import { findWeightValues, matrixKey } from '../../db/weight-values.ts'
import { AppError } from '../../errors.ts'
import { projections } from '../../heads/rows.ts'
import { cosine, largestDifference } from '../../heads/weight-likeness.ts'
import { weightDifferenceAddress } from '../addresses.ts'
import type { RequestContext } from '../context.ts'
import { type MatrixPair, pairMatrices, wholeReasons } from '../presenters/slice-comparison.ts'
import type { ComparedSlice, ComparedSlices } from '../rows.ts'
import type { CompareKind } from './compare-kind.ts'

/** Bytes of weights that one comparison may read, and rows that it may have. */
const most = { bytes: 128 * 2 ** 20, rows: 20_000 } as const
/** Bytes of weights in memory at once, or one pair. */
const batchBytes = 8 * 2 ** 20

/** Each slice of the candidates against the baseline's of the same layer, projection and head. */
export const compareWeightSlices: CompareKind<ComparedSlices> = async (baseline, candidates, _input, { db }) => {
  const found = await findMatrices(db, [baseline.id, ...candidates.map(({ id }) => id)])
  const sliced = (run: typeof baseline) => ({ run, matrices: found.get(run.id) ?? [] })
  const before = sliced(baseline)
  const pairs = candidates.map((run) => pairMatrices(before, sliced(run)))
  checkSize(pairs.flat())
  const rows: ComparedSlice[] = []
  for (const ofCandidate of pairs) rows.push(...(await comparePairs(ofCandidate, db)).sort(byPlace))
  return { kind: 'WEIGHT_SLICES', rows, reasons: candidates.flatMap((run) => wholeReasons(before, sliced(run))) }
}

/** @throws AppError LIMIT_EXCEEDED with the arithmetic */
function checkSize(pairs: readonly MatrixPair[]): void {
  const bytes = pairs.reduce((sum, pair) => sum + bytesOf(pair), 0)
  const rows = pairs.reduce((sum, { heads }) => sum + heads.length, 0)
  if (bytes <= most.bytes && rows <= most.rows) return
  const mebibytes = (count: number) => `${Math.ceil(count / 2 ** 20)} MiB`
  throw new AppError(
    'LIMIT_EXCEEDED',
    `the comparison has ${rows} rows and reads ${pairs.length} pairs of matrices of ${mebibytes(bytes)}, more than ${most.rows} rows or ${mebibytes(most.bytes)}`,
    'Name fewer candidates, or compare runs of fewer layers, projections, heads or rows.',
  )
}

function bytesOf({ baseline, candidate }: MatrixPair): number {
  return 4 * (baseline.rows * baseline.columns + candidate.rows * candidate.columns)
}

async function comparePairs(pairs: readonly MatrixPair[], db: RequestContext['db']): Promise<ComparedSlice[]> {
  const rows: ComparedSlice[] = []
  for (const batch of inBatches(pairs)) {
    const wanted = new Map(batch.flatMap((pair) => [pair.baseline, pair.candidate]).map((one) => [matrixKey(one), one]))
    // Not through a loader: what has been compared need not stay until the request ends.
    const values = await findWeightValues(db, [...wanted.values()])
    for (const pair of batch) rows.push(...rowsOf(pair, values))
  }
  return rows
}

function rowsOf(
  { baseline, candidate, heads }: MatrixPair,
  values: ReadonlyMap<string, Float32Array>,
): ComparedSlice[] {
  const [before, after] = [values.get(matrixKey(baseline)), values.get(matrixKey(candidate))]
  if (before === undefined || after === undefined) {
    throw new AppError('NOT_FOUND', 'one of the runs has begun a new attempt', 'Compare them again when it has ended.')
  }
  const maxDifference = largestDifference(before, after)
  const angle = cosine(before, after)
  const { layer, projection } = candidate
  return heads.map((head) => ({
    candidateId: candidate.runId,
    layer,
    projection,
    head,
    maxDifference,
    // A slice of zeros has no direction.
    cosine: Number.isNaN(angle) ? Number(maxDifference === 0) : angle,
    imageUrl: weightDifferenceAddress(candidate.runId, baseline.runId, layer, projection, head),
  }))
}

function* inBatches(pairs: readonly MatrixPair[]): Generator<MatrixPair[]> {
  let batch: MatrixPair[] = []
  let bytes = 0
  for (const pair of pairs) {
    batch.push(pair)
    bytes += bytesOf(pair)
    if (bytes < batchBytes) continue
    yield batch
    batch = []
    bytes = 0
  }
  if (batch.length > 0) yield batch
}

function byPlace(a: ComparedSlice, b: ComparedSlice): number {
  const order = ({ projection }: ComparedSlice) => projections.indexOf(projection)
  return a.layer - b.layer || order(a) - order(b) || a.head - b.head
}
