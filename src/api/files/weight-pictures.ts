import type { Database } from '../../db/client.ts'
import type { RunRow } from '../../db/rows.ts'
import { noSuchRun } from '../../db/run-id.ts'
import { findRuns } from '../../db/run-parts.ts'
import { AppError } from '../../errors.ts'
import { kvHeadOf } from '../../heads/kv-groups.ts'
import type { Projection } from '../../heads/rows.ts'
import type { HeadMatrix } from '../../render/head-groups.ts'
import type { PictureSubject } from '../../render/picture-subject.ts'
import { formatRanges } from '../../render/text.ts'
import type { AskedFile } from './file-route.ts'
import { type PictureFormat, type PictureOptions, pictureFile } from './picture-file.ts'
import { frameOf } from './picture-notes.ts'
import type { RunFile } from './send-file.ts'
import { type ReadMatrix, requireMatrices } from './stored-slices.ts'

/** Weights that one picture is drawn from, 16 MB: 64 heads of 1,024 x 64. */
const mostWeights = 4_194_304

interface LayerPlace {
  layer: number
  projection: Projection
  format: PictureFormat
}
type HeadPlace = LayerPlace & { head: number }

/** The slices of all heads of a layer: a shared one once under its heads' bracket, or with `view=heads` once a head. */
export async function weightGrid({
  services,
  run,
  place,
  options,
}: AskedFile<LayerPlace, PictureOptions & { view: 'groups' | 'heads' }>): Promise<RunFile> {
  const { layer, projection, format } = place
  const [{ subject, origin }, matrices] = await Promise.all([
    frameOf(services.db, run, layer),
    requireMatrices(services.db, run, { layer, projection }, mostWeights),
  ])
  const picture = {
    subject,
    layer,
    heads: matrices.flatMap((matrix) => matrix.heads.map((head) => headMatrix(subject, matrix, head))).sort(byHead),
    quantity: { name: 'weights', projection } as const,
    view: options.view === 'heads' ? ('heads' as const) : ('shared' as const),
    notes: [...tensorNotes(matrices), ...origin],
    theme: options.theme,
  }
  const name = `weights-L${layer}-${projection}`
  return pictureFile(services.drawing, { of: 'heads', picture }, format, options, name)
}

const byHead = (one: HeadMatrix, other: HeadMatrix) => one.head - other.head

/** The slice of one head. */
export async function weightSlice({
  services,
  run,
  place,
  options,
}: AskedFile<HeadPlace, PictureOptions>): Promise<RunFile> {
  const { layer, projection, head, format } = place
  const { subject, matrix, tensors, origin } = await readHead(services.db, run, place)
  const picture = {
    subject,
    layer,
    head,
    kvHead: matrix.kvHead,
    matrix,
    quantity: { name: 'weights', projection } as const,
    notes: [...tensors, ...origin],
    theme: options.theme,
  }
  const name = `weights-L${layer}-${projection}-H${head}`
  return pictureFile(services.drawing, { of: 'head', picture }, format, options, name)
}

/** A head's slice beside the same of another run, and their difference. It is of the latest attempts: nobody may keep it. */
export async function weightDifference({
  services,
  run,
  place,
  options,
}: AskedFile<HeadPlace, PictureOptions & { baseline: string }>): Promise<RunFile> {
  const { layer, projection, head, format } = place
  const before = (await findRuns(services.db, [options.baseline])).get(options.baseline.toLowerCase())
  if (before === undefined) throw noSuchRun(options.baseline)
  const [baseline, candidate] = await Promise.all([before, run].map((one) => readHead(services.db, one, place)))
  if (baseline === undefined || candidate === undefined) throw new Error('a slice was read without its values')
  const shapes = [baseline, candidate].map(({ matrix }) => `[${matrix.rows}, ${matrix.columns}]`)
  if (shapes[0] !== shapes[1]) {
    throw new AppError(
      'VALIDATION_FAILED',
      `the slices are ${shapes[0]} in run ${before.id} and ${shapes[1]} in run ${run.id}: they have no difference`,
      'Read as many rows and columns in both.',
    )
  }
  const picture = {
    subject: baseline.subject,
    layer,
    head,
    kvHead: baseline.matrix.kvHead,
    projection,
    baseline: { label: baseline.label, matrix: baseline.matrix },
    candidate: { label: candidate.label, matrix: candidate.matrix },
    notes: [...baseline.origin, ...candidate.origin],
    theme: options.theme,
  }
  const name = `weights-L${layer}-${projection}-H${head}-difference`
  return pictureFile(services.drawing, { of: 'difference', picture }, format, options, name)
}

async function readHead(db: Database, run: RunRow, { layer, projection, head }: HeadPlace) {
  const [{ subject, origin }, [matrix]] = await Promise.all([
    frameOf(db, run, layer),
    requireMatrices(db, run, { layer, projection, head }, mostWeights),
  ])
  if (matrix === undefined) throw new Error('a slice that was found is not there')
  return {
    subject,
    matrix: headMatrix(subject, matrix, head),
    label: `${subject.model}, run ${run.id.slice(-8)}`,
    tensors: tensorNotes([matrix]),
    origin,
  }
}

function headMatrix(
  { heads, kvHeads }: PictureSubject,
  { rows, columns, values }: ReadMatrix,
  head: number,
): HeadMatrix {
  return { head, kvHead: kvHeads === null ? null : kvHeadOf(head, heads, kvHeads), rows, columns, values }
}

/** Where the weights stand in the checkpoint: `Tensor h.0.attn.c_attn.weight [768, 2304], F32: rows 0-49, columns 768-831`. */
function tensorNotes(matrices: readonly ReadMatrix[]): string[] {
  const [first] = matrices
  if (first === undefined) return []
  const tensors = new Set(matrices.map(({ tensor }) => tensor))
  const more = tensors.size > 1 ? ` and ${tensors.size - 1} more` : ''
  const numbers = (read: (matrix: ReadMatrix) => readonly number[]) =>
    formatRanges([...new Set(matrices.flatMap(read))].sort((one, other) => one - other))
  const { tensor, tensorShape, dtype } = first
  const where = `rows ${numbers(({ tensorRows }) => tensorRows)}, columns ${numbers(({ tensorColumns }) => tensorColumns)}`
  return [`Tensor ${tensor}${more} [${tensorShape.join(', ')}], ${dtype}: ${where}`]
}
