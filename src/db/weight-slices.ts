import { Prisma } from '../generated/prisma/client.ts'
import type { HeadSharingRow, Projection, WeightMatrixRow } from '../heads/rows.ts'
import type { Queries } from './client.ts'
import { isRunId } from './run-id.ts'
import { decodeSliceCursor, encodeSliceCursor, type SlicePlace } from './slice-cursor.ts'

/** Reading of weight slices: everything here is of each run's latest attempt; values stand in weight-values. */

/** A stored matrix without its values. */
export interface StoredMatrix extends Omit<WeightMatrixRow, 'values'> {
  runId: string
  attempt: number
}

/** One query head's slice: heads that read one matrix have a slice each. */
export interface StoredSlice extends Omit<StoredMatrix, 'heads'> {
  /** query head */
  head: number
}

/** Which slices; what is null or left out does not matter. */
export interface SliceFilter {
  layer?: number | null | undefined
  projection?: Projection | null | undefined
  /** query heads, any of them; an empty list lets nothing pass */
  heads?: readonly number[] | null | undefined
}

export interface SliceRequest extends SliceFilter {
  first: number
  after?: string | null | undefined
}

export interface SlicePage {
  /** by layer, projection (Q, K, V, O) and head */
  edges: { cursor: string; node: StoredSlice }[]
  hasNextPage: boolean
  hasPreviousPage: boolean
}

const columns = Prisma.sql`stored."runId", stored.attempt, stored.layer, stored.projection, stored.matrix, stored.rows,
  stored.columns, stored.minimum, stored.maximum, stored.mean, stored."standardDeviation", stored.tensor,
  stored."tensorShape", stored."tensorRows", stored."tensorColumns", stored.transposed, stored.dtype`

/**
 * A page of each run's slices by keyset. One statement, however many runs.
 * @throws AppError VALIDATION_FAILED for a bad cursor
 */
export async function pageSlices(
  db: Queries,
  runIds: readonly string[],
  request: SliceRequest,
): Promise<Map<string, SlicePage>> {
  const { first } = request
  const after = request.after == null ? null : decodeSliceCursor(request.after)
  const condition = conditionOf(request)
  const rows = await db.$queryRaw<(Partial<StoredSlice> & { id: string; behind: boolean })[]>`
    SELECT run.id::text AS id, ${behind(condition, after)} AS behind, page.*
    FROM "Run" AS run LEFT JOIN LATERAL (
      SELECT ${columns}, reader.head
      FROM "WeightMatrix" AS stored CROSS JOIN unnest(stored.heads) AS reader(head)
      WHERE ${condition} AND ${after === null ? Prisma.sql`TRUE` : beside('>', after)}
      ORDER BY stored.layer, stored.projection, reader.head LIMIT ${first + 1}
    ) AS page ON TRUE
    WHERE run.id = ANY(${runIds.filter(isRunId)}::uuid[]) ORDER BY run.id, page.layer, page.projection, page.head`
  const found = new Map<string, SlicePage>()
  for (const { id, behind: hasPreviousPage, ...row } of rows) {
    const page = found.get(id) ?? { edges: [], hasNextPage: false, hasPreviousPage }
    found.set(id, page)
    if (!isSlice(row)) continue
    if (page.edges.length === first) page.hasNextPage = true
    else page.edges.push({ cursor: encodeSliceCursor(row), node: row })
  }
  return found
}

/** How many slices of each run a filter lets pass. */
export async function countSlices(
  db: Queries,
  runIds: readonly string[],
  filter: SliceFilter,
): Promise<Map<string, number>> {
  const rows = await db.$queryRaw<{ id: string; count: number }[]>`
    SELECT run.id::text AS id, count(*)::int AS count
    FROM "Run" AS run CROSS JOIN "WeightMatrix" AS stored CROSS JOIN unnest(stored.heads) AS reader(head)
    WHERE run.id = ANY(${runIds.filter(isRunId)}::uuid[]) AND ${conditionOf(filter)} GROUP BY run.id`
  return new Map(rows.map(({ id, count }) => [id, count]))
}

/** Every matrix of each run, by layer, projection and matrix; runs without any have an empty list. */
export async function findMatrices(
  db: Queries,
  runIds: readonly string[],
  filter: Pick<SliceFilter, 'layer' | 'projection'> = {},
): Promise<Map<string, StoredMatrix[]>> {
  const rows = await db.$queryRaw<StoredMatrix[]>`
    SELECT ${columns}, stored.heads FROM "Run" AS run CROSS JOIN "WeightMatrix" AS stored
    WHERE run.id = ANY(${runIds.filter(isRunId)}::uuid[]) AND ${conditionOf(filter)}
    ORDER BY stored.layer, stored.projection, stored.matrix`
  const found = new Map<string, StoredMatrix[]>(runIds.map((id) => [id, []]))
  for (const row of rows) found.get(row.runId)?.push(row)
  return found
}

/** How the heads of one layer share a projection, of each run that has read it. */
export async function findHeadSharing(
  db: Queries,
  runIds: readonly string[],
  layer: number,
  projection: Projection,
): Promise<Map<string, HeadSharingRow>> {
  const rows = await db.$queryRaw<(HeadSharingRow & { runId: string })[]>`
    SELECT stored."runId", stored.layer, stored.projection, stored.groups, stored."byConstruction",
      stored."maxDifference", stored.cosine, stored.cka
    FROM "HeadSharing" AS stored JOIN "Run" AS run ON run.id = stored."runId" AND run.attempt = stored.attempt
    WHERE run.id = ANY(${runIds.filter(isRunId)}::uuid[])
      AND stored.layer = ${layer} AND stored.projection = ${projection}::"Projection"`
  return new Map(rows.map(({ runId, ...sharing }) => [runId, sharing]))
}

/** On "Run" AS run, "WeightMatrix" AS stored and, where heads are given, reader(head). */
function conditionOf({ layer, projection, heads }: SliceFilter): Prisma.Sql {
  const conditions = [Prisma.sql`stored."runId" = run.id AND stored.attempt = run.attempt`]
  if (layer != null) conditions.push(Prisma.sql`stored.layer = ${layer}`)
  if (projection != null) conditions.push(Prisma.sql`stored.projection = ${projection}::"Projection"`)
  if (heads != null) conditions.push(Prisma.sql`reader.head = ANY(${[...heads]}::int[])`)
  return Prisma.join(conditions, ' AND ')
}

/** Whether the filter lets anything pass at the cursor's place or before it. */
function behind(condition: Prisma.Sql, after: SlicePlace | null): Prisma.Sql {
  if (after === null) return Prisma.sql`FALSE`
  return Prisma.sql`EXISTS (
    SELECT 1 FROM "WeightMatrix" AS stored CROSS JOIN unnest(stored.heads) AS reader(head)
    WHERE ${condition} AND ${beside('<=', after)})`
}

function beside(than: '>' | '<=', { layer, projection, head }: SlicePlace): Prisma.Sql {
  return Prisma.sql`(stored.layer, stored.projection, reader.head) ${Prisma.raw(than)}
    (${layer}::int, ${projection}::"Projection", ${head}::int)`
}

function isSlice(row: Partial<StoredSlice>): row is StoredSlice {
  return row.head != null
}
