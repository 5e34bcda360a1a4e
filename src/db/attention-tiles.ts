import { Prisma } from '../generated/prisma/client.ts'
import type { AttentionTileRow, StoredDtype, TileStatistic } from '../heads/rows.ts'
import { decodeTile, tileSide } from '../render/attention-tiles.ts'
import { bytesPerValue, type MapKey, placed } from './attention-maps.ts'
import type { Queries } from './client.ts'

/** Reading of the maps themselves, of each run's latest attempt. */

export interface TileKey extends MapKey {
  /** the attempt that the reader means: of another than the latest nothing is found; the latest where absent */
  attempt?: number
  level: number
  row: number
  column: number
  /** the same at level 0, which holds the map itself */
  statistic: TileStatistic
}

/** A tile as stored, and of its map the tokens and what values are stored as. */
export interface StoredTile extends AttentionTileRow {
  size: number
  storedAs: StoredDtype
}

/** One tile; null where there is none, as above the diagonal. */
export async function findTile(db: Queries, key: TileKey): Promise<StoredTile | null> {
  const [tile = null] = await findTilesByKey(db, [key])
  return tile
}

/** Many tiles at once, in the order of the keys; null where there is none. */
export async function findTilesByKey(db: Queries, keys: readonly TileKey[]): Promise<(StoredTile | null)[]> {
  const asked = placed(keys)
  const column = (of: (key: TileKey & { place: number }) => number | null) => asked.map(of)
  const statistics = asked.map(({ level, statistic }) => (level === 0 ? 'MEAN' : statistic))
  const rows = await db.$queryRaw<(StoredTile & { place: number })[]>`
    SELECT asked.place, ${tileColumns}
    FROM unnest(${column((key) => key.place)}::int[], ${asked.map((key) => key.runId)}::uuid[],
      ${column((key) => key.attempt ?? null)}::int[], ${column((key) => key.prompt)}::int[],
      ${column((key) => key.layer)}::int[], ${column((key) => key.head)}::int[], ${column((key) => key.level)}::int[],
      ${column((key) => key.row)}::int[], ${column((key) => key.column)}::int[], ${statistics}::text[])
      AS asked(place, run, attempt, prompt, layer, head, level, "row", "column", statistic)
    JOIN "Run" AS run ON run.id = asked.run AND run.attempt = coalesce(asked.attempt, run.attempt)
    JOIN "AttentionTile" AS tile ON tile."runId" = run.id AND tile.attempt = run.attempt AND tile.prompt = asked.prompt
      AND tile.layer = asked.layer AND tile.head = asked.head AND tile.level = asked.level AND tile.row = asked.row
      AND tile.column = asked.column AND tile.statistic = asked.statistic::"TileStatistic"
    ${mapOfTile}`
  const found: (StoredTile | null)[] = keys.map(() => null)
  for (const { place, ...tile } of rows) found[place] = tile
  return found
}

export interface TilesOfMap extends MapKey {
  /** as in TileKey */
  attempt?: number
  level: number
  /** MEAN where absent */
  statistic?: TileStatistic
  /** rows of tiles, from `first` to before `end`; all where absent */
  rows?: { first: number; end: number }
}

/** The tiles of one map at one level, by row and column: at 2,048 tokens level 0 has 36 of 131 kB. */
export async function findTiles(db: Queries, wanted: TilesOfMap): Promise<StoredTile[]> {
  const [key] = placed([wanted])
  if (key === undefined) return []
  const { runId, attempt, prompt, layer, head, level, statistic = 'MEAN', rows } = key
  const ofAttempt = attempt === undefined ? Prisma.empty : Prisma.sql`AND run.attempt = ${attempt}`
  const ofRows =
    rows === undefined ? Prisma.empty : Prisma.sql`AND tile.row >= ${rows.first} AND tile.row < ${rows.end}`
  return db.$queryRaw<StoredTile[]>`
    SELECT ${tileColumns}
    FROM "Run" AS run JOIN "AttentionTile" AS tile ON tile."runId" = run.id AND tile.attempt = run.attempt
    ${mapOfTile}
    WHERE run.id = ${runId}::uuid AND tile.prompt = ${prompt} AND tile.layer = ${layer} AND tile.head = ${head}
      AND tile.level = ${level} AND tile.statistic = ${level === 0 ? 'MEAN' : statistic}::"TileStatistic"
      ${ofAttempt} ${ofRows}
    ORDER BY tile.row, tile.column`
}

/**
 * The same a row of tiles at a time, so that only 256 rows of the map are in memory. Ends where a row has no tiles.
 * @param tileRows how many rows of tiles the level has
 */
export async function* streamTiles(
  db: Queries,
  wanted: Omit<TilesOfMap, 'rows'>,
  tileRows: number,
): AsyncGenerator<StoredTile[]> {
  for (let row = 0; row < tileRows; row += 1) {
    const tiles = await findTiles(db, { ...wanted, rows: { first: row, end: row + 1 } })
    if (tiles.length === 0) return
    yield tiles
  }
}

export interface RowKey extends MapKey {
  query: number
}

/**
 * Rows of maps, each [size] over the keys, zero beyond the query; in the order of the keys, null where there is none.
 * PostgreSQL cuts them out of their tiles, so little is read.
 */
export async function findMapRows(db: Queries, keys: readonly RowKey[]): Promise<(Float32Array | null)[]> {
  const asked = placed(keys)
  const column = (of: (key: RowKey & { place: number }) => number) => asked.map(of)
  const width = Prisma.sql`(tile.columns * CASE map."storedAs" WHEN 'F32' THEN ${bytesPerValue.F32}::int ELSE ${bytesPerValue.F16}::int END)`
  const rows = await db.$queryRaw<(TilePart & { place: number })[]>`
    SELECT asked.place, map.size, map."storedAs", tile.column,
      substring(tile.data FROM (asked.query % ${tileSide}::int) * ${width} + 1 FOR ${width}) AS data
    FROM unnest(${column((key) => key.place)}::int[], ${asked.map((key) => key.runId)}::uuid[],
      ${column((key) => key.prompt)}::int[], ${column((key) => key.layer)}::int[], ${column((key) => key.head)}::int[],
      ${column((key) => key.query)}::int[]) AS asked(place, run, prompt, layer, head, query)
    JOIN "Run" AS run ON run.id = asked.run
    JOIN "AttentionTile" AS tile ON tile."runId" = run.id AND tile.attempt = run.attempt AND tile.prompt = asked.prompt
      AND tile.layer = asked.layer AND tile.head = asked.head AND tile.level = 0
      AND tile.row = asked.query / ${tileSide}::int AND tile.statistic = 'MEAN'
    ${mapOfTile}
    WHERE asked.query >= 0 AND asked.query < map.size`
  const found: (Float32Array | null)[] = keys.map(() => null)
  for (const { place, size, column: tileColumn, storedAs, data } of rows) {
    const row = found[place] ?? new Float32Array(size)
    row.set(decodeTile(data, storedAs), tileColumn * tileSide)
    found[place] = row
  }
  return found
}

interface TilePart {
  size: number
  storedAs: StoredDtype
  column: number
  data: Uint8Array
}

/** Maps of at most one tile (256 tokens), whole: [size, size] row-major; null for longer ones, and where there is none. */
export async function findSmallMaps(db: Queries, keys: readonly MapKey[]): Promise<(Float32Array | null)[]> {
  const corner = { level: 0, row: 0, column: 0, statistic: 'MEAN' } as const
  const whole = await findTilesByKey(
    db,
    keys.map((key) => ({ ...key, ...corner })),
  )
  return whole.map((tile) => (tile === null || tile.rows < tile.size ? null : decodeTile(tile.data, tile.storedAs)))
}

const tileColumns = Prisma.sql`tile.prompt, tile.layer, tile.head, tile.level, tile.row, tile.column, tile.statistic,
  tile.rows, tile.columns, tile.data, map."storedAs", map.size`

/** Only complete maps have this row, and so only their tiles are read. */
const mapOfTile = Prisma.sql`JOIN "AttentionHead" AS map ON map."runId" = tile."runId" AND map.attempt = tile.attempt
  AND map.prompt = tile.prompt AND map.layer = tile.layer AND map.head = tile.head`
