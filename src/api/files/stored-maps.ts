import { findAttentionHeads, type StoredHead } from '../../db/attention-maps.ts'
import { findTilesByKey, type TileKey } from '../../db/attention-tiles.ts'
import type { Database } from '../../db/client.ts'
import type { RunRow } from '../../db/rows.ts'
import { AppError } from '../../errors.ts'
import { causalTiles, decodeTile, levelCount, levelSide, placeTile } from '../../render/attention-tiles.ts'
import type { HeadMatrix } from '../../render/head-groups.ts'
import type { Pooling } from '../../render/matrix.ts'

export interface MapPlace {
  prompt: number
  layer: number
  /** all heads where absent */
  head?: number
}

/**
 * The maps of a layer over a prompt, or that of one head.
 * @throws AppError NOT_FOUND where none is stored
 */
export async function requireMaps(db: Database, run: RunRow, { prompt, layer, head }: MapPlace): Promise<StoredHead[]> {
  const heads = head === undefined ? {} : { heads: [head] }
  const maps = (await findAttentionHeads(db, run.id, { prompt, layer, ...heads })).filter(
    ({ attempt }) => attempt === run.attempt,
  )
  if (maps.length > 0) return maps
  const which = head === undefined ? '' : `, head ${head}`
  throw new AppError(
    'NOT_FOUND',
    `run ${run.id} holds no attention map of prompt ${prompt}, layer ${layer}${which}`,
    run.status === 'SUCCEEDED' ? 'Its `layers` and `heads` say what was recorded.' : `The run is ${run.status}.`,
  )
}

export interface DrawableMaps {
  heads: HeadMatrix[]
  /** what a value stands for; null: one cell of the map */
  pooled: Pooling | null
}

/** Maps of equal size at the finest level of at most `most` cells a side, in one statement. */
export async function readMaps(db: Database, maps: readonly StoredHead[], most: number): Promise<DrawableMaps> {
  const size = maps[0]?.size ?? 0
  const level = levelFor(size, most)
  const side = levelSide(size, level)
  const keys = maps.flatMap((map) => causalTiles(size, level).map((tile) => keyOf(map, level, tile)))
  const tiles = await findTilesByKey(db, keys)
  const heads = maps.map(({ head, kvHead }) => ({
    head,
    kvHead,
    rows: side,
    columns: side,
    values: new Float32Array(side * side),
  }))
  const places = new Map(heads.map(({ head, values }) => [head, values]))
  for (const tile of tiles) {
    const values = tile === null ? undefined : places.get(tile.head)
    if (tile === null || values === undefined) throw incomplete(maps)
    placeTile(values, side, tile, decodeTile(tile.data, tile.storedAs))
  }
  return { heads, pooled: level === 0 ? null : { factor: 2 ** level, by: 'maximum' } }
}

function keyOf(map: StoredHead, level: number, { row, column }: { row: number; column: number }): TileKey {
  const { runId, attempt, prompt, layer, head } = map
  return { runId, attempt, prompt, layer, head, level, row, column, statistic: 'MAXIMUM' }
}

/** Drawn by their maxima, as a lone spike must stay seen. */
function levelFor(size: number, most: number): number {
  let level = 0
  while (levelSide(size, level) > most && level < levelCount(size) - 1) level += 1
  return level
}

/** A newer attempt began while the tiles were read. */
export function incomplete(maps: readonly StoredHead[]): AppError {
  const [map] = maps
  return new AppError('NOT_FOUND', `attempt ${map?.attempt} of run ${map?.runId} is gone: a newer one has begun`)
}
