import { AppError } from '../errors.ts'
import type { Tensor } from '../onnx/session.ts'

/** What the rows of one cached tensor are, [batch, heads, rows, width]. */
export interface RowShape {
  /** K/V heads */
  heads: number
  /** values in one row of one head */
  width: number
  /** tokens that the layer looks back: the rows of the last so many are kept, in a ring; absent: all */
  window?: number
}

/** Rows of the positions `from` to `from + count - 1` of every head: [batch, heads, count, width]. */
export interface RowsOfPositions {
  from: number
  count: number
  data: Float32Array
}

/**
 * The memory of one slot. A slot without a window keeps a row for each position, in order. One with a window of w keeps
 * the last w rows, as a ring: row r holds the largest position p below the length with p mod w = r.
 */
export interface SlotRows {
  /**
   * Makes the array what `capacity` rows in all need, and moves the rows of the first `length` positions along.
   * @param most where it is known how many rows there will ever be: the array is then taken once, and rows move in it
   * @throws AppError OUT_OF_MEMORY
   */
  resize(capacity: number, length: number, most: number | null): void
  /** Puts rows into place, as many of the last as there is room for. */
  place(rows: RowsOfPositions): void
  /** A copy of rows that are in place. */
  read(from: number, count: number): RowsOfPositions
  /** [batch, heads, rows, width], all rows that there is memory for, or none */
  tensor(empty: boolean): Extract<Tensor, { type: 'float32' }>
  bytes(): number
}

export function createSlotRows(slot: RowShape, batch: number): SlotRows {
  const { width, window = Number.POSITIVE_INFINITY } = slot
  const heads = batch * slot.heads
  let rows = 0
  let data: Float32Array = new Float32Array(0)
  /** where memory is taken once: what `data` is the beginning of */
  let whole: Float32Array | null = null

  return {
    resize(capacity, length, most) {
      const wanted = Math.min(capacity, window)
      if (wanted === rows) return
      // A ring that has come round is full, and never resized: what moves is in order.
      const moved = Math.min(length, wanted, rows)
      if (most === null) {
        const grown = allocate(heads * wanted * width)
        for (let head = 0; head < heads; head++) {
          const start = head * rows * width
          grown.set(data.subarray(start, start + moved * width), head * wanted * width)
        }
        whole = null
        data = grown
      } else {
        whole ??= allocate(heads * Math.min(most, window) * width)
        // Heads move apart from the last one on, and together from the first one on: none is written over.
        for (let index = 0; index < heads; index++) {
          const head = wanted > rows ? heads - 1 - index : index
          const start = head * rows * width
          whole.copyWithin(head * wanted * width, start, start + moved * width)
        }
        data = whole.subarray(0, heads * wanted * width)
      }
      rows = wanted
    },
    place({ from, count, data: source }) {
      for (const { row, offset, length } of runsOf(from, count, window)) {
        for (let head = 0; head < heads; head++) {
          const start = (head * count + offset) * width
          data.set(source.subarray(start, start + length * width), (head * rows + row) * width)
        }
      }
    },
    read(from, count) {
      const copied = allocate(heads * count * width)
      for (const { row, offset, length } of runsOf(from, count, window)) {
        for (let head = 0; head < heads; head++) {
          const start = (head * rows + row) * width
          copied.set(data.subarray(start, start + length * width), (head * count + offset) * width)
        }
      }
      return { from, count, data: copied }
    },
    tensor: (empty) => ({
      type: 'float32',
      data: empty ? new Float32Array(0) : data,
      dims: [batch, slot.heads, empty ? 0 : rows, width],
    }),
    bytes: () => (whole ?? data).byteLength,
  }
}

/** The position of a spare row of a ring: after every query, so that none sees it. */
export const sparePosition = BigInt(Number.MAX_SAFE_INTEGER)

/**
 * What tells the positions that the rows of a ring hold, int64 [rows], of a sequence that grows: each call writes those that
 * are new into the array of the call before.
 */
export function createRingPositions(window: number): (rows: number, length: number) => Tensor {
  let data = new BigInt64Array(0)
  let known = 0
  return (rows, length) => {
    if (rows !== data.length || length < known) {
      data = new BigInt64Array(rows).fill(sparePosition)
      known = 0
    }
    for (let position = Math.max(known, length - window); position < length; position++) {
      data[position % window] = BigInt(position)
    }
    known = length
    return { type: 'int64', data, dims: [rows] }
  }
}

/** Where the last of `count` positions from `from` on lie, in runs without a gap; `offset` counts from `from`. */
function* runsOf(from: number, count: number, window: number) {
  let offset = Math.max(0, count - window)
  while (offset < count) {
    const row = (from + offset) % window
    const length = Math.min(count - offset, window - row)
    yield { row, offset, length }
    offset += length
  }
}

function allocate(values: number): Float32Array {
  try {
    return new Float32Array(values)
  } catch (cause) {
    throw new AppError(
      'OUT_OF_MEMORY',
      `the KV cache could not get ${values * Float32Array.BYTES_PER_ELEMENT} bytes for one layer's keys or values`,
      'Take a shorter context, a smaller batch or fewer K/V heads.',
      cause,
    )
  }
}
