import { AppError } from '../errors.ts'
import { Prisma } from '../generated/prisma/client.ts'
import type { Queries } from './client.ts'
import type { RunRow } from './rows.ts'
import { byTime, decodeCursor, encodeCursor, placeOf, type RunOrder, type RunPlace } from './run-cursor.ts'
import { filterCondition, type RunFilter } from './run-filter.ts'
import { isRunId } from './run-id.ts'

export interface PageRequest {
  first?: number | null | undefined
  after?: string | null | undefined
  last?: number | null | undefined
  before?: string | null | undefined
  filter?: RunFilter | null | undefined
  orderBy?: RunOrder | null | undefined
}

export interface RunPage {
  /** in the order asked for, also for `last` */
  edges: { cursor: string; node: RunRow }[]
  hasNextPage: boolean
  hasPreviousPage: boolean
}

export const defaultPageSize = 20

/** One direction through the index of an order: which way it runs, and whether runs without a key figure come first. */
interface Walk {
  time: boolean
  ascending: boolean
  nullsFirst: boolean
}

/**
 * A page of runs by keyset: from a cursor's place along an index, so that a late page costs no more than the first, and
 * a run that is added or moved shifts no other. One statement.
 * @throws AppError VALIDATION_FAILED for a bad cursor, a size below 0, or both directions at once
 */
export async function pageRuns(db: Queries, request: PageRequest): Promise<RunPage> {
  const { orderBy, size, backward, from, until } = readRequest(request)
  const order = orderOf(orderBy)
  const walk = backward ? reverse(order) : order
  const filter = request.filter ?? {}
  const bounds = [from && { walk, place: from }, until && { walk: reverse(walk), place: until }]
  const rows = await db.$queryRaw<(Partial<RunRow> & { behind: boolean })[]>`
    SELECT behind.found AS behind, run.* FROM (SELECT ${anythingBehind(walk, filter, from)} AS found) AS behind
    LEFT JOIN (${select(walk, filter, bounds, size + 1)}) AS page ON TRUE LEFT JOIN "Run" AS run ON run.id = page.id
    ORDER BY ${sorting('page', walk)}`
  const found = rows.filter((row): row is RunRow & { behind: boolean } => row.id != null)
  const page = found.slice(0, size)
  // A second cursor ends the range: whatever lies beyond it is another page, too.
  const ahead = found.length > size || until !== null
  const behind = rows[0]?.behind ?? false
  if (backward) page.reverse()
  return {
    edges: page.map(({ behind: _, ...node }) => ({ cursor: encodeCursor(placeOf(orderBy, node)), node })),
    hasNextPage: backward ? behind : ahead,
    hasPreviousPage: backward ? ahead : behind,
  }
}

/** How many runs a filter lets pass. */
export async function countRuns(db: Queries, filter: RunFilter = {}): Promise<number> {
  const rows = await db.$queryRaw<{ count: number }[]>`
    SELECT count(*)::int AS count FROM "Run" AS run WHERE ${filterCondition(filter, 'all runs') ?? Prisma.sql`TRUE`}`
  return rows[0]?.count ?? 0
}

/**
 * The place in its queue, from 1, of each run that is queued; others are left out. A queue is that of a device, or of a
 * machine or worker and a device for runs that are placed there. One statement, however many ids.
 */
export async function queuePositions(db: Queries, ids: readonly string[]): Promise<Map<string, number>> {
  const rows = await db.$queryRaw<{ id: string; position: number }[]>`
    SELECT id::text, position FROM (
      SELECT id, (row_number() OVER (PARTITION BY device, "placedHostname", "placedWorkerId"
        ORDER BY "queuedAt", id))::int AS position
      FROM "Run" WHERE status = 'QUEUED'
    ) AS queue WHERE id = ANY(${ids.filter(isRunId)}::uuid[])`
  return new Map(rows.map(({ id, position }) => [id, position]))
}

function readRequest(request: PageRequest) {
  const { first, after, last, before, orderBy } = request
  if (first != null && last != null) {
    throw new AppError('VALIDATION_FAILED', 'first and last are given together', 'Give one of them.')
  }
  const size = first ?? last ?? defaultPageSize
  if (!Number.isSafeInteger(size) || size < 0) {
    throw new AppError('VALIDATION_FAILED', `a page of ${size} runs cannot be had`, 'Ask for 0 or more.')
  }
  const order = orderBy ?? 'NEWEST'
  const start = after == null ? null : decodeCursor(order, after)
  const end = before == null ? null : decodeCursor(order, before)
  const backward = last != null || (first == null && end !== null && start === null)
  return { orderBy: order, size, backward, from: backward ? end : start, until: backward ? start : end }
}

function orderOf(order: RunOrder): Walk {
  return { time: byTime(order), ascending: order === 'OLDEST' || order === 'FASTEST', nullsFirst: false }
}

function reverse({ time, ascending, nullsFirst }: Walk): Walk {
  return { time, ascending: !ascending, nullsFirst: !nullsFirst }
}

/** What lies beyond a place, seen along a walk. */
interface Bound {
  walk: Walk
  place: RunPlace
}

/**
 * The runs of one index range: ordered by time, all; ordered by key figure, those with one and those without. The one
 * index serves both parts in both directions, where a single ORDER BY with NULLS LAST would have to sort the whole
 * table for one of them.
 */
type Part = 'all' | 'with key figure' | 'without key figure'

function partsOf({ time, nullsFirst }: Walk): Part[] {
  if (time) return ['all']
  return nullsFirst ? ['without key figure', 'with key figure'] : ['with key figure', 'without key figure']
}

/** Runs that are looked at one by one before a filter's runs are found as a whole. */
const nearRuns = 1000

/**
 * The first `limit` runs of a walk within bounds: their ids and what they are ordered by.
 *
 * Under a filter the nearest runs are asked one by one. Where too few of them pass, all runs that do are found, by the
 * indexes of what is filtered, and sorted. Whatever the filter lets pass and wherever that lies, a page so costs no more
 * than both; the planner alone would walk through the whole table to the runs of a year ago, or of the slowest model.
 */
function select(walk: Walk, filter: RunFilter, bounds: readonly (Bound | null)[], limit: number): Prisma.Sql {
  const near = filterCondition(filter, 'run by run')
  const far = filterCondition(filter, 'all runs')
  if (near === null || far === null) return walkAlong(walk, bounds, limit)
  const column = columnOf(walk)
  const within = partsOf(walk).map((part) => Prisma.sql`(${boundsCondition(bounds, part)})`)
  return Prisma.sql`
    WITH near AS MATERIALIZED (
      SELECT nearest.id, nearest.${column} FROM (${walkAlong(walk, bounds, nearRuns)}) AS nearest
      JOIN "Run" AS run ON run.id = nearest.id WHERE ${near} ORDER BY ${sorting('nearest', walk)} LIMIT ${limit}
    ), far AS MATERIALIZED (
      SELECT run.id, run.${column} FROM "Run" AS run
      WHERE (SELECT count(*) FROM near) < ${limit} AND ${far} AND (${Prisma.join(within, ' OR ')})
    )
    SELECT id, ${column} FROM (
      SELECT * FROM near WHERE (SELECT count(*) FROM near) >= ${limit} UNION ALL SELECT * FROM far
    ) AS found ORDER BY ${sorting('found', walk)} LIMIT ${limit}`
}

/** The first `limit` runs along the index, whatever they are. */
function walkAlong(walk: Walk, bounds: readonly (Bound | null)[], limit: number): Prisma.Sql {
  const column = columnOf(walk)
  const parts = partsOf(walk).map(
    (part) => Prisma.sql`(SELECT run.id, run.${column} FROM "Run" AS run
      WHERE ${boundsCondition(bounds, part)} ORDER BY ${indexSorting(walk)} LIMIT ${limit})`,
  )
  const [only] = parts
  if (parts.length === 1 && only !== undefined) return only
  return Prisma.sql`
    SELECT * FROM (${Prisma.join(parts, ' UNION ALL ')}) AS parts ORDER BY ${sorting('parts', walk)} LIMIT ${limit}`
}

function boundsCondition(bounds: readonly (Bound | null)[], part: Part): Prisma.Sql {
  const within = bounds.flatMap((bound) => (bound === null ? [] : [beyond(bound, part)]))
  return Prisma.join([partCondition(part), ...within], ' AND ')
}

/** Whether the filter lets anything pass at the cursor's place or on the side that the walk comes from. */
function anythingBehind(walk: Walk, filter: RunFilter, from: RunPlace | null): Prisma.Sql {
  if (from === null) return Prisma.sql`FALSE`
  const back = reverse(walk)
  const condition = filterCondition(filter, 'run by run') ?? Prisma.sql`TRUE`
  return Prisma.sql`(EXISTS (SELECT 1 FROM "Run" AS run WHERE run.id = ${from.id}::uuid AND ${condition})
    OR EXISTS (${select(back, filter, [{ walk: back, place: from }], 1)}))`
}

function partCondition(part: Part): Prisma.Sql {
  if (part === 'all') return Prisma.sql`TRUE`
  return part === 'with key figure' ? Prisma.sql`run."keyFigure" IS NOT NULL` : Prisma.sql`run."keyFigure" IS NULL`
}

/** The condition that a run of a part lies beyond a place. */
function beyond({ walk, place }: Bound, part: Part): Prisma.Sql {
  const than = walk.ascending ? Prisma.raw('>') : Prisma.raw('<')
  if (place.by === 'queuedAt') {
    return Prisma.sql`(run."queuedAt", run.id) ${than} (${place.queuedAt.toISOString()}::timestamptz, ${place.id}::uuid)`
  }
  const partOfPlace: Part = place.keyFigure === null ? 'without key figure' : 'with key figure'
  if (part !== partOfPlace) {
    const parts = partsOf(walk)
    return parts.indexOf(part) > parts.indexOf(partOfPlace) ? Prisma.sql`TRUE` : Prisma.sql`FALSE`
  }
  return place.keyFigure === null
    ? Prisma.sql`run.id ${than} ${place.id}::uuid`
    : Prisma.sql`(run."keyFigure", run.id) ${than} (${place.keyFigure}::float8, ${place.id}::uuid)`
}

function columnOf({ time }: Walk): Prisma.Sql {
  return Prisma.raw(time ? '"queuedAt"' : '"keyFigure"')
}

function indexSorting({ time, ascending }: Walk): Prisma.Sql {
  const way = ascending ? 'ASC' : 'DESC'
  return Prisma.raw(`run."${time ? 'queuedAt' : 'keyFigure'}" ${way}, run.id ${way}`)
}

function sorting(table: string, { time, ascending, nullsFirst }: Walk): Prisma.Sql {
  const way = ascending ? 'ASC' : 'DESC'
  // Of a time, which every run has, the clause would hide from the planner that the rows come in this order.
  const nulls = time ? '' : nullsFirst ? 'NULLS FIRST' : 'NULLS LAST'
  return Prisma.raw(`${table}."${time ? 'queuedAt' : 'keyFigure'}" ${way} ${nulls}, ${table}.id ${way}`)
}
