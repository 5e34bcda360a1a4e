import { addEntropies } from '../heads/entropy.ts'
import type { MapRows } from '../heads/map-rows.ts'
import type { AttentionHeadRow } from '../heads/rows.ts'
import { storedAs } from '../render/attention-tiles.ts'
import { createTilePyramid, type TilePyramid } from '../render/tile-pyramid.ts'
import type { TileBatches } from './row-batches.ts'

export interface StoredHeads {
  /** query heads whose maps are stored, and where each stands among the captured ones */
  heads: readonly { head: number; kvHead: number | null; place: number }[]
  prompt: number
  /** tokens of the prompt's maps */
  size: number
}

export interface MapStore {
  /** Takes the next rows of a layer's maps; [captured heads, queries, keys]. The array may be used again afterwards. */
  addRows(layer: number, rows: MapRows): Promise<void>
  /** The maps that are complete; their tiles have all been handed on. */
  finished: AttentionHeadRow[]
}

/** Turns the rows of one prompt's maps into tiles, as they come, and into a row for each map once it is complete. */
export function openMapStore({ heads, prompt, size }: StoredHeads, tiles: Pick<TileBatches, 'add' | 'send'>): MapStore {
  const dtype = storedAs(size)
  const open = new Map<number, { pyramids: TilePyramid[]; entropies: Float64Array }>()
  const finished: AttentionHeadRow[] = []

  const start = (layer: number, captured: number) => ({
    pyramids: heads.map(({ head }) =>
      createTilePyramid(size, dtype, (tile) => tiles.add({ ...tile, prompt, layer, head })),
    ),
    entropies: new Float64Array(captured),
  })

  return {
    finished,
    async addRows(layer, rows) {
      const maps = open.get(layer) ?? start(layer, rows.heads)
      open.set(layer, maps)
      const values = rows.queries * rows.keys
      for (const [index, { place }] of heads.entries()) {
        maps.pyramids[index]?.push(rows.probabilities.subarray(place * values, (place + 1) * values), rows.keys)
        // A band of one head's tiles is megabytes.
        await tiles.send()
      }
      addEntropies(maps.entropies, rows)
      if (rows.firstQuery + rows.queries < size) return
      for (const [index, { head, kvHead, place }] of heads.entries()) {
        const overview = maps.pyramids[index]?.finish()
        if (overview === undefined) continue
        // As heads/entropy has it: the mean over all queries but the first.
        const entropy = Math.max(0, maps.entropies[place] ?? 0) / Math.max(1, size - 1)
        finished.push({
          ...{ prompt, layer, head, kvHead, size, storedAs: dtype, entropy },
          overviewSide: overview.side,
          overview: overview.bytes,
        })
      }
      open.delete(layer)
    },
  }
}
