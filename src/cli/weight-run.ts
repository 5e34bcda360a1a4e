import { AppError } from '../errors.ts'
import {
  HeadSharingDocument,
  type HeadSharingQuery,
  type Projection,
  WeightSlicesDocument,
  type WeightSlicesQuery,
  WeightSlicesRunDocument,
  type WeightSlicesRunQuery,
  WeightSliceValuesDocument,
  type WeightSliceValuesQuery,
} from '../generated/operations.ts'
import { kvHeadOf } from '../heads/kv-groups.ts'
import type { HeadMatrix } from '../render/head-groups.ts'
import type { ApiClient } from './client.ts'
import { headSubject } from './head-subject.ts'
import { readNpy } from './read-npy.ts'
import { fetchEvents, type StoredEvent } from './run-events.ts'

type QueriedRun = Extract<NonNullable<WeightSlicesRunQuery['run']>, { spec: unknown }>
type QueriedSlices = Extract<NonNullable<WeightSlicesQuery['run']>, { slices: unknown }>['slices']
type QueriedSharing = Extract<NonNullable<HeadSharingQuery['run']>, { sharing: unknown }>

export type WeightSlice = QueriedSlices['nodes'][number]
export type HeadSharing = NonNullable<QueriedSharing['sharing']>

/** One projection of one layer: which heads share it, and where its picture is. */
export interface ComparedHeads {
  layer: number
  projection: Projection
  gridUrl: string
  /** null until it has been compared */
  sharing: HeadSharing | null
}

/** A WeightSlicesRun of the public schema with all its slices, and its sharing by layer and projection. */
export type WeightSlicesRun = QueriedRun & {
  events: StoredEvent[]
  slices: WeightSlice[]
  compared: ComparedHeads[]
}

/** @throws AppError NOT_FOUND */
export async function fetchWeightSlicesRun(client: ApiClient, id: string): Promise<WeightSlicesRun> {
  const { run } = await client.request(WeightSlicesRunDocument, { id })
  if (run === null || !('spec' in run)) throw noSuchRun(id)
  const slices = await fetchSlices(client, id)
  const compared: ComparedHeads[] = []
  for (const { layer, projection } of firstOfEach(slices))
    compared.push(await fetchSharing(client, id, layer, projection))
  return { ...run, events: await fetchEvents(client, id), slices, compared }
}

function noSuchRun(id: string): AppError {
  return new AppError('NOT_FOUND', `No run on weights has the id ${id}`, 'List the runs with: kvscope runs')
}

async function fetchSlices(client: ApiClient, id: string): Promise<WeightSlice[]> {
  const slices: WeightSlice[] = []
  for (let after: string | null = null; ; ) {
    const { run }: WeightSlicesQuery = await client.request(WeightSlicesDocument, { id, after })
    if (run === null || !('slices' in run)) throw noSuchRun(id)
    slices.push(...run.slices.nodes)
    if (!run.slices.pageInfo.hasNextPage) return slices
    after = run.slices.pageInfo.endCursor
  }
}

function firstOfEach(slices: readonly WeightSlice[]): WeightSlice[] {
  return [...new Map(slices.map((slice) => [`${slice.layer} ${slice.projection}`, slice])).values()]
}

async function fetchSharing(
  client: ApiClient,
  id: string,
  layer: number,
  projection: Projection,
): Promise<ComparedHeads> {
  const { run } = await client.request(HeadSharingDocument, { id, layer, projection })
  if (run === null || !('sharing' in run)) throw noSuchRun(id)
  return { layer, projection, gridUrl: run.gridUrl, sharing: run.sharing }
}

/** The slices of a layer's heads, each matrix read once however many heads read it. */
export async function fetchMatrices(
  client: ApiClient,
  run: WeightSlicesRun,
  { layer, projection }: { layer: number; projection: Projection },
): Promise<HeadMatrix[]> {
  const known = new Map<number, Float32Array>()
  const [subject] = run.subjects
  if (subject === undefined) return []
  const { heads, kvHeads } = headSubject(subject, layer)
  const matrices: HeadMatrix[] = []
  for (const slice of run.slices) {
    if (slice.layer !== layer || slice.projection !== projection) continue
    // Q and O have no K/V head of their own: each query head's matrix is its own.
    const matrix = slice.kvHead ?? slice.head
    const values = known.get(matrix) ?? readNpy(await client.file(slice.arrayUrl)).values
    known.set(matrix, values)
    const kvHead = kvHeads === null ? null : kvHeadOf(slice.head, heads, kvHeads)
    matrices.push({ head: slice.head, kvHead, rows: slice.rows, columns: slice.columns, values })
  }
  return matrices
}

/** What the server lists of one slice and in one answer; larger slices are arrays only. */
const listed = { slice: 65_536, answer: 262_144 }

/** A run's slices with their weights as lists, as far as the server lists them; null for slices that are too large. */
export async function withWeights(
  client: ApiClient,
  run: WeightSlicesRun,
): Promise<Omit<WeightSlicesRun, 'slices'> & { slices: (WeightSlice & { values: number[][] | null })[] }> {
  const values = new Map<string, number[][]>()
  for (const { layer, projection, rows, columns } of firstOfEach(run.slices)) {
    if (rows * columns > listed.slice) continue
    const first = Math.min(100, Math.floor(listed.answer / (rows * columns)))
    for (let after: string | null = null; ; ) {
      const asked = { id: run.id, first, after, layer, projection }
      const answer: WeightSliceValuesQuery = await client.request(WeightSliceValuesDocument, asked)
      if (answer.run === null || !('slices' in answer.run)) throw noSuchRun(run.id)
      for (const node of answer.run.slices.nodes) values.set(node.id, node.values)
      if (!answer.run.slices.pageInfo.hasNextPage) break
      after = answer.run.slices.pageInfo.endCursor
    }
  }
  return { ...run, slices: run.slices.map((slice) => ({ ...slice, values: values.get(slice.id) ?? null })) }
}
