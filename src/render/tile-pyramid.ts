import {
  levelCount,
  levelSide,
  overviewByte,
  overviewLevel,
  type StoredDtype,
  type TilePlace,
  type TileStatistic,
  tileSide,
} from './attention-tiles.ts'
import { encodeHalves } from './half-float.ts'
import { littleEndianBytes } from './npy.ts'

/** A finished tile. Level 0 comes once, as MEAN: there a cell stands for itself. */
export interface PyramidTile extends TilePlace {
  level: number
  statistic: TileStatistic
  /** little-endian, row-major [rows, columns] in the stored dtype */
  data: Uint8Array
}

export interface TilePyramid {
  /**
   * Takes the next rows of the map, [any number of rows, keys] float32, in order. What lies above the diagonal is not read.
   * @param keys length of these rows, at least up to the last one's diagonal; the map's size unless said
   * @throws RangeError where the rows are not whole or more than the map has
   */
  push(rows: Float32Array, keys?: number): void
  /**
   * Ends the map once all its rows came.
   * @returns the overview, [side, side] bytes of 255 sqrt(greatest p)
   * @throws RangeError where rows are missing
   */
  finish(): { side: number; bytes: Uint8Array }
}

/**
 * Builds the tiles of one head's attention map [size, size] from its rows as they come, and hands each to `emit` when its
 * last row is there; a coarser level follows the finer one row by row.
 *
 * It holds the open band of tiles of each level, in the stored dtype, and two rows of float32 a level: for size 2,048 at
 * half-floats 1 MiB at level 0 and 1, 1/2 and 1/4 MiB above, 2.8 MiB in all, and less while the triangle is narrow.
 */
export function createTilePyramid(size: number, dtype: StoredDtype, emit: (tile: PyramidTile) => void): TilePyramid {
  const tiled = levelCount(size)
  const coarsest = Math.max(tiled - 1, overviewLevel(size))
  const overview = { side: levelSide(size, overviewLevel(size)), bytes: new Uint8Array() }
  overview.bytes = new Uint8Array(overview.side ** 2)

  const levels = Array.from({ length: coarsest + 1 }, (_, level) => {
    const side = levelSide(size, level)
    const statistics: readonly TileStatistic[] = level === 0 ? ['MEAN'] : ['MEAN', 'MAXIMUM']
    return {
      side,
      next: 0,
      bands: level < tiled ? statistics.map((statistic) => createBand(side, level, statistic, dtype, emit)) : [],
      pending: new Float32Array(side),
      pendingMaximum: level === 0 ? null : new Float32Array(side),
      mean: new Float32Array(side),
      maximum: new Float32Array(side),
    }
  })

  /** Takes a level's next row, and with every second one, or the last, makes the next level's row. */
  function pushRow(level: number, mean: Float32Array, maximum: Float32Array): void {
    const own = levels[level]
    if (own === undefined) return
    const row = own.next++
    own.bands[0]?.push(row, mean)
    own.bands[1]?.push(row, maximum)
    if (level === overviewLevel(size)) {
      for (let column = 0; column <= row; column++) {
        overview.bytes[row * overview.side + column] = overviewByte(maximum[column] ?? 0)
      }
    }
    const coarser = levels[level + 1]
    if (coarser === undefined) return
    const single = row === own.side - 1
    if (row % 2 === 0 && !single) {
      own.pending.set(mean)
      own.pendingMaximum?.set(maximum)
      return
    }
    const upper = row % 2 === 0 ? null : own.pending
    const upperMaximum = row % 2 === 0 ? null : (own.pendingMaximum ?? own.pending)
    halveRows(row >> 1, upper, mean, size, level, coarser.mean)
    maximizeRows(row >> 1, upperMaximum, maximum, own.side, coarser.maximum)
    pushRow(level + 1, coarser.mean, coarser.maximum)
  }

  return {
    push(rows, keys = size) {
      const first = levels[0]?.next ?? 0
      const count = rows.length / keys
      if (!Number.isInteger(count) || first + count > Math.min(size, keys)) {
        throw new RangeError(
          `A map of ${size} rows got ${rows.length} values, ${keys} a row, after its first ${first}.`,
        )
      }
      for (let row = 0; row < count; row++) {
        const values = rows.subarray(row * keys, (row + 1) * keys)
        pushRow(0, values, values)
      }
    },
    finish() {
      const came = levels[0]?.next ?? 0
      if (came !== size) throw new RangeError(`A map of ${size} rows got only ${came}.`)
      return overview
    },
  }
}

/** One band of tiles, as high as a tile, filled row by row. */
function createBand(
  side: number,
  level: number,
  statistic: TileStatistic,
  dtype: StoredDtype,
  emit: (tile: PyramidTile) => void,
): { push(row: number, values: Float32Array): void } {
  let tiles: (Float32Array | Uint16Array)[] = []
  const across = (column: number) => Math.min(tileSide, side - column * tileSide)
  return {
    push(row, values) {
      const band = Math.floor(row / tileSide)
      const rows = Math.min(tileSide, side - band * tileSide)
      const inBand = row - band * tileSide
      if (inBand === 0) {
        tiles = Array.from({ length: band + 1 }, (_, column) =>
          dtype === 'F32' ? new Float32Array(rows * across(column)) : new Uint16Array(rows * across(column)),
        )
      }
      for (const [column, tile] of tiles.entries()) {
        const from = column * tileSide
        const present = values.subarray(from, Math.min(from + across(column), row + 1))
        const start = inBand * across(column)
        if (tile instanceof Float32Array) tile.set(present, start)
        else encodeHalves(present, tile.subarray(start, start + present.length))
      }
      if (inBand !== rows - 1) return
      for (const [column, tile] of tiles.entries()) {
        const place = { row: band, column, rows, columns: across(column) }
        emit({ level, statistic, ...place, data: littleEndianBytes(tile) })
      }
      tiles = []
    },
  }
}

/**
 * The mean over a block of two rows and two columns, each cell weighed by how many cells of the map it stands for, so that
 * the mean of a coarse cell is that of all the map's cells below it. Away from the edges every weight is the same.
 * @param row of the coarser level
 */
function halveRows(
  row: number,
  upper: Float32Array | null,
  lower: Float32Array,
  size: number,
  level: number,
  out: Float32Array,
): void {
  const lowerRow = upper === null ? 2 * row : 2 * row + 1
  const scale = 2 ** level
  const whole = upper !== null && (lowerRow + 1) * scale <= size
  // Blocks left of the diagonal one are full, and none of their cells is cropped at the right.
  if (whole) {
    for (let column = 0; column < row; column++) {
      const at = 2 * column
      out[column] = ((upper[at] ?? 0) + (upper[at + 1] ?? 0) + (lower[at] ?? 0) + (lower[at + 1] ?? 0)) / 4
    }
  }
  for (let column = whole ? row : 0; column <= row; column++) {
    let sum = 0
    let total = 0
    for (let dy = 0; dy < 2; dy++) {
      const fineRow = 2 * row + dy
      const values = upper === null ? (dy === 0 ? lower : null) : dy === 0 ? upper : lower
      if (values === null) continue
      for (let fineColumn = 2 * column; fineColumn <= 2 * column + 1 && fineColumn <= fineRow; fineColumn++) {
        const weight = coveredCells(size, scale, fineRow, fineColumn)
        sum += weight * (values[fineColumn] ?? 0)
        total += weight
      }
    }
    out[column] = total === 0 ? 0 : sum / total
  }
}

/** Cells of the map, on or below its diagonal, that a cell of a level stands for. */
function coveredCells(size: number, scale: number, row: number, column: number): number {
  const height = Math.min(size, (row + 1) * scale) - row * scale
  const width = Math.min(size, (column + 1) * scale) - column * scale
  if (column < row) return height * width
  return column > row ? 0 : (height * (height + 1)) / 2
}

function maximizeRows(
  row: number,
  upper: Float32Array | null,
  lower: Float32Array,
  side: number,
  out: Float32Array,
): void {
  const lowerRow = upper === null ? 2 * row : 2 * row + 1
  for (let column = 0; column <= row; column++) {
    const at = 2 * column
    let most = lower[at] ?? 0
    if (at + 1 < side && at + 1 <= lowerRow) most = Math.max(most, lower[at + 1] ?? 0)
    if (upper !== null) {
      most = Math.max(most, upper[at] ?? 0)
      if (at + 1 < lowerRow) most = Math.max(most, upper[at + 1] ?? 0)
    }
    out[column] = most
  }
}
