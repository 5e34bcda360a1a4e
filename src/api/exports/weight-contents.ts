import type { Database } from '../../db/client.ts'
import type { RunRow } from '../../db/rows.ts'
import { findHeadSharing, findMatrices, type StoredMatrix } from '../../db/weight-slices.ts'
import { findWeightValues, matrixKey } from '../../db/weight-values.ts'
import { AppError } from '../../errors.ts'
import type { HeadSharingRow } from '../../heads/rows.ts'
import { csvRecord } from '../../render/csv.ts'
import { matrixDimensions } from '../../render/matrix-name.ts'
import { littleEndianBytes } from '../../render/npy.ts'
import { shortestSingle } from '../../render/shortest-decimal.ts'
import type { Services } from '../context.ts'
import type { ExportedArray } from './exported-array.ts'
import type { KindContents } from './run-contents.ts'

const titles = ['run', 'status', 'layer', 'projection', 'kv_head', 'heads', 'row', 'column', 'weight']

/** Weight slices: every stored matrix once, however many query heads read it, and how alike the heads' matrices are. */
export async function openWeightSlices({ db }: Services, run: RunRow): Promise<KindContents> {
  const found = (await findMatrices(db, [run.id])).get(run.id) ?? []
  const matrices = found.filter(({ attempt }) => attempt === run.attempt)
  const sharing = await readSharing(db, run, matrices)
  return {
    arrays: [...matrices.map((matrix) => slicesArray(db, matrix)), ...sharing.flatMap(sharingArrays)],
    lists: [
      {
        name: 'slices',
        async *items(inline) {
          for (const matrix of matrices) {
            const { runId: _runId, attempt: _attempt, matrix: _matrix, heads, ...about } = matrix
            const values = inline ? { values: nest(await readValues(db, matrix), matrix.columns) } : {}
            yield { ...about, kvHead: kvHeadOf(matrix), heads, array: arrayName(matrix), ...values }
          }
        },
      },
      {
        name: 'sharing',
        async *items() {
          yield* sharing
        },
      },
    ],
    async *records() {
      yield csvRecord(titles)
      for (const matrix of matrices) yield* recordsOf(db, run, matrix)
    },
  }
}

/** Sharing is stored once for each projection of a layer. */
async function readSharing(db: Database, run: RunRow, matrices: readonly StoredMatrix[]): Promise<HeadSharingRow[]> {
  const pairs = new Map(matrices.map((matrix) => [`${matrix.layer} ${matrix.projection}`, matrix]))
  const rows: HeadSharingRow[] = []
  for (const { layer, projection } of pairs.values()) {
    const row = (await findHeadSharing(db, [run.id], layer, projection)).get(run.id)
    if (row !== undefined) rows.push(row)
  }
  return rows
}

/** K and V matrices are numbered by the K/V head, Q and O by the query head. */
function kvHeadOf({ projection, matrix }: StoredMatrix): number | null {
  return projection === 'K' || projection === 'V' ? matrix : null
}

/** `weights/layer0/K/kvhead3`, `weights/layer0/Q/head3`. */
function arrayName(matrix: StoredMatrix): string {
  const whose = kvHeadOf(matrix) === null ? 'head' : 'kvhead'
  return `weights/layer${matrix.layer}/${matrix.projection}/${whose}${matrix.matrix}`
}

function slicesArray(db: Database, matrix: StoredMatrix): ExportedArray {
  return {
    name: arrayName(matrix),
    dtype: 'float32',
    shape: [matrix.rows, matrix.columns],
    axes: matrixDimensions(matrix.projection),
    async *bytes() {
      yield littleEndianBytes(await readValues(db, matrix))
    },
  }
}

function sharingArrays({ layer, projection, maxDifference, cosine, cka }: HeadSharingRow): ExportedArray[] {
  const place = `sharing/layer${layer}/${projection}`
  return Object.entries({ max_difference: maxDifference, cosine, cka }).map(([name, values]) => ({
    name: `${place}/${name}`,
    dtype: 'float64',
    shape: [values.length, values[0]?.length ?? 0],
    axes: ['head', 'head'],
    // JSON has no NaN: what could not be computed is null.
    bytes: () => [littleEndianBytes(Float64Array.from(values.flat(), (value) => value ?? Number.NaN))],
  }))
}

/** @throws AppError NOT_FOUND where a newer attempt has begun meanwhile */
async function readValues(db: Database, matrix: StoredMatrix): Promise<Float32Array> {
  const values = (await findWeightValues(db, [matrix])).get(matrixKey(matrix))
  if (values !== undefined) return values
  const { attempt, runId } = matrix
  throw new AppError('NOT_FOUND', `attempt ${attempt} of run ${runId} is gone: a newer one has begun`)
}

function nest(values: Float32Array, columns: number): number[][] {
  return Array.from({ length: values.length / columns }, (_, row) =>
    Array.from(values.subarray(row * columns, (row + 1) * columns)),
  )
}

const valuesAtOnce = 16_384

async function* recordsOf(db: Database, run: RunRow, matrix: StoredMatrix): AsyncGenerator<string> {
  const { layer, projection, heads, columns } = matrix
  const values = await readValues(db, matrix)
  const shared = csvRecord([run.id, run.status, layer, projection, kvHeadOf(matrix), heads.join(' ')]).slice(0, -2)
  let piece = ''
  for (const [index, value] of values.entries()) {
    piece += `${shared},${Math.floor(index / columns)},${index % columns},${shortestSingle(value)}\r\n`
    if ((index + 1) % valuesAtOnce === 0) {
      yield piece
      piece = ''
    }
  }
  if (piece !== '') yield piece
}
