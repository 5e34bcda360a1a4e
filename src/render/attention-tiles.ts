import { decodeHalves } from './half-float.ts'
import { littleEndianBytes } from './npy.ts'

/**
 * What the child that captures an attention map, the API that hands it out and the page that draws it agree on: tiles of
 * 256 x 256 at levels that halve both sides, only those on or below the diagonal, and an overview of at most 64 x 64.
 *
 * A cell of level l at (row, column) stands for the cells of the map in rows row 2^l to (row + 1) 2^l - 1 and columns
 * likewise, as far as the map reaches (a last row or column of an odd side stands for fewer) and as far as they are not
 * above the diagonal. `MEAN` is the mean of exactly those, `MAXIMUM` their greatest. Cells with column > row stand for none
 * and hold 0.
 */

export const tileSide = 256
const overviewLimit = 64

/** Element type of a stored map. */
export type StoredDtype = 'F32' | 'F16'
export type TileStatistic = 'MEAN' | 'MAXIMUM'

/** Maps of up to 128 tokens are stored as they were computed, larger ones as half-floats: within 2.5e-4 of it. */
export function storedAs(size: number): StoredDtype {
  return size <= 128 ? 'F32' : 'F16'
}

/** Levels of a map's pyramid: the last is the first that one tile holds. 1 for up to 256 tokens, 4 for 2,048. */
export function levelCount(size: number): number {
  let levels = 1
  while (levelSide(size, levels - 1) > tileSide) levels += 1
  return levels
}

/** Cells along a side of a level. */
export function levelSide(size: number, level: number): number {
  return Math.ceil(size / 2 ** level)
}

/** Where a tile stands in its level, counted in tiles, and its cells: those at the lower and right edge are cropped. */
export interface TilePlace {
  row: number
  column: number
  rows: number
  columns: number
}

/** The tiles of a level that hold anything: column <= row, by rows. */
export function causalTiles(size: number, level: number): TilePlace[] {
  const side = levelSide(size, level)
  const across = Math.ceil(side / tileSide)
  const extent = (index: number) => Math.min(tileSide, side - index * tileSide)
  return Array.from({ length: across }, (_, row) =>
    Array.from({ length: row + 1 }, (_, column) => ({ row, column, rows: extent(row), columns: extent(column) })),
  ).flat()
}

/** How often the map is halved for its overview, until a side has at most 64 cells. */
export function overviewLevel(size: number): number {
  let level = 0
  while (levelSide(size, level) > overviewLimit) level += 1
  return level
}

export function overviewSide(size: number): number {
  return levelSide(size, overviewLevel(size))
}

/** Raw bytes that one head's map takes: tiles of all levels (level 0 once, others as mean and maximum) and the overview. */
export function storedBytes(size: number): number {
  const width = storedAs(size) === 'F32' ? 4 : 2
  let bytes = overviewSide(size) ** 2
  for (let level = 0; level < levelCount(size); level++) {
    bytes += causalCells(size, level) * width * (level === 0 ? 1 : 2)
  }
  return bytes
}

/** Cells of a level's tiles, as `causalTiles` lists them: a million tokens have eight million tiles, too many to list. */
function causalCells(size: number, level: number): number {
  const side = levelSide(size, level)
  let cells = 0
  for (let first = 0; first < side; first += tileSide) {
    const end = Math.min(side, first + tileSide)
    cells += (end - first) * end
  }
  return cells
}

/** The values of a stored tile. `bytes` are little-endian, row-major. */
export function decodeTile(bytes: Uint8Array, dtype: StoredDtype): Float32Array {
  // Stored bytes come at any offset, a Buffer's slice too, and typed arrays want theirs aligned.
  const aligned = new Uint8Array(bytes)
  if (dtype === 'F16') return decodeHalves(new Uint16Array(littleEndianBytes(new Uint16Array(aligned.buffer)).buffer))
  return new Float32Array(littleEndianBytes(new Float32Array(aligned.buffer)).buffer)
}

/**
 * Writes a tile's values into a whole level of `side` x `side` cells, as far as they lie on or below the diagonal.
 */
export function placeTile(level: Float32Array, side: number, place: TilePlace, values: Float32Array): void {
  for (let row = 0; row < place.rows; row++) {
    const y = place.row * tileSide + row
    const from = row * place.columns
    level.set(values.subarray(from, from + place.columns), y * side + place.column * tileSide)
  }
}

/** Byte of the overview for a probability: 255 sqrt(p), so that 0.0001 is still 3. */
export function overviewByte(probability: number): number {
  return Math.round(255 * Math.sqrt(Math.min(1, Math.max(0, probability))))
}

/** The probability that an overview's byte stands for. */
export function fromOverviewByte(byte: number): number {
  return (byte / 255) ** 2
}

export interface MapAddress {
  runId: string
  attempt: number
  prompt: number
}

/**
 * Where a prompt's overviews are handed out: heads in order of layer and head, each side x side bytes. The attempt is part
 * of the address, so what stands there never changes.
 * @param layers as `0-7` or `3`; all by default
 */
export function overviewAddress({ runId, attempt, prompt, layers }: MapAddress & { layers?: string }): string {
  const which = layers === undefined ? '' : `&layers=${layers}`
  return `/runs/${encodeURIComponent(runId)}/attention/${prompt}/overview.u8?attempt=${attempt}${which}`
}

/** Where a tile is handed out, with `{level}`, `{row}`, `{column}` and `{statistic}` (mean or maximum) to be filled in. */
export function tileAddressTemplate({
  runId,
  attempt,
  prompt,
  layer,
  head,
}: MapAddress & { layer: number; head: number }): string {
  const path = `/runs/${encodeURIComponent(runId)}/attention/${prompt}/${layer}/${head}`
  return `${path}/{level}/{row}/{column}.f16?attempt=${attempt}&statistic={statistic}`
}

export function tileAddress(
  address: MapAddress & {
    layer: number
    head: number
    level: number
    row: number
    column: number
    statistic: TileStatistic
  },
): string {
  return tileAddressTemplate(address)
    .replace('{level}', String(address.level))
    .replace('{row}', String(address.row))
    .replace('{column}', String(address.column))
    .replace('{statistic}', address.statistic.toLowerCase())
}
