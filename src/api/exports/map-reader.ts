import type { StoredHead } from '../../db/attention-maps.ts'
import { findTilesByKey } from '../../db/attention-tiles.ts'
import type { Database } from '../../db/client.ts'
import { storedBytes, tileSide } from '../../render/attention-tiles.ts'
import { streamBands } from '../files/attention-bytes.ts'
import { incomplete } from '../files/stored-maps.ts'

/** The bytes of a map row-major in its stored type, in bands of at most 256 rows. */
export type MapReader = (map: StoredHead) => AsyncIterable<Uint8Array>

/** Bytes of small maps that are read at once. */
const mostBytes = 2 ** 21

/**
 * Reads maps one after the other. Those of a single tile, of which a run has thousands, are fetched by the dozen with
 * those that follow in `maps`; longer ones a row of tiles at a time.
 */
export function createMapReader(db: Database, maps: readonly StoredHead[]): MapReader {
  const places = new Map(maps.map((map, place) => [map, place]))
  const read = new Map<StoredHead, Uint8Array>()
  return async function* readMap(map) {
    if (map.size > tileSide) {
      yield* streamBands(db, map)
      return
    }
    if (!read.has(map)) {
      read.clear()
      const batch = followers(maps, places.get(map) ?? 0)
      const tiles = await findTilesByKey(
        db,
        batch.map((one) => ({ ...one, level: 0, row: 0, column: 0, statistic: 'MEAN' })),
      )
      for (const [index, tile] of tiles.entries()) {
        const one = batch[index]
        if (one !== undefined && tile !== null) read.set(one, tile.data)
      }
    }
    const bytes = read.get(map)
    if (bytes === undefined) throw incomplete([map])
    read.delete(map)
    yield bytes
  }
}

/** The map at a place and the small ones right after it, as many as fit into memory's share. */
function followers(maps: readonly StoredHead[], place: number): StoredHead[] {
  const batch: StoredHead[] = []
  let bytes = 0
  for (let at = place; at < maps.length; at += 1) {
    const map = maps[at]
    if (map === undefined || map.size > tileSide) break
    bytes += storedBytes(map.size)
    if (batch.length > 0 && bytes > mostBytes) break
    batch.push(map)
  }
  return batch
}
