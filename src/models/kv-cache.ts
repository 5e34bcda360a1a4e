import { AppError } from '../errors.ts'
import type { Tensor } from '../onnx/session.ts'
import { createRingPositions, createSlotRows, type RowShape, type RowsOfPositions, type SlotRows } from './slot-rows.ts'

/** One cached tensor of a model, [batch, heads, rows, width]: a layer's keys or its values. */
export interface CacheSlot extends RowShape {
  /** name of the graph input that takes the cached rows */
  input: string
  /** name of the graph output that returns the new rows */
  output: string
}

/** What a step feeds of a cache. */
export interface CacheFeeds {
  /** every slot's, by the name of its input */
  tensors: Readonly<Record<string, Tensor>>
  /** [1, 1, 1, rows] over the rows of slots without a window: 0 for a filled row, `maskedScore` for a spare one */
  mask: Tensor
  /** by window, int64 [rows]: positions that the rows of a ring hold, `sparePosition` for a spare one */
  ringPositions: ReadonlyMap<number, Tensor>
}

/**
 * The keys and values of the tokens that a model has seen. Callers do not know who owns the memory: JavaScript here, a
 * peer library or a GPU elsewhere.
 *
 * A step's own rows are appended after it, so the step that makes a sequence D + 1 tokens long is fed D rows.
 */
export interface KvCache {
  readonly batch: number
  /** filled rows: tokens of each sequence */
  readonly length: number
  /** rows there is memory for */
  readonly capacity: number
  /** of one cached value */
  readonly bitsPerValue: number
  /**
   * Makes room for that many rows in all, so that no step until then has to grow. A step computes over spare rows too
   * and masks them: reserve what the next steps need, not more.
   * @throws AppError OUT_OF_MEMORY
   */
  reserve(rows: number): void
  /** Copies appended rows into place now rather than in the next step; a timed step then does no earlier step's work. */
  settle(): void
  /**
   * Forgets all rows from `length` on; memory is kept.
   * @throws AppError INTERNAL where the ring of a window has written over rows that a sequence of that length looks back
   * at, unless `keep` remembered them
   */
  truncate(length: number): void
  /**
   * Remembers the sequence as it stands, so that up to `tokens` more can be taken and be truncated again, as often as
   * wanted. Rows that a ring would lose by then are copied, `rowsToKeep` of them; they count as no part of the cache.
   */
  keep(tokens: number): void
  /** Gives back the memory of spare rows beyond that many in all, so that later steps do not compute over them. */
  trim(rows: number): void
  /** The same rows in memory of their own, without spare ones; no step was fed from it yet. */
  copy(): KvCache
  /** Filled rows at the last step: the depth that `measuredBytes` speaks of. */
  readonly fedLength: number
  /**
   * Bytes of the filled rows of the tensors that the last step was fed, from those tensors' own sizes and element
   * size. It equals the formula (architecture/kv-bytes) for `fedLength` tokens; 0 before the first step and after a
   * step on an empty cache.
   */
  measuredBytes(): number
  /** Bytes of memory held for rows, filled or spare. */
  allocatedBytes(): number
}

/** A cache that kvscope's own graphs are fed from. */
export interface GraphCache extends KvCache {
  /**
   * The tensors for the next step. They stay valid until the next call of any method.
   * @throws AppError OUT_OF_MEMORY
   */
  feeds(): CacheFeeds
  copy(): GraphCache
  /** Takes the rows that a step returned for its `tokens` tokens a sequence; of a ring the last of them will do. */
  append(outputs: Readonly<Record<string, Tensor>>, tokens: number): void
}

/** Added to a score, it makes a probability of exactly 0 in float32, and never an infinity. */
export const maskedScore = -1e30

const growthStep = 64

/**
 * The rows that a cache of `capacity` rows grows to when `needed` do not fit: an eighth more each time, so that copying
 * stays linear in the length and the spare rows that steps mask stay few.
 */
export function grownCapacity(capacity: number, needed: number): number {
  return roundUp(Math.max(needed, capacity * (1 + 1 / 8)))
}

/**
 * A cache whose rows live in JavaScript arrays, head-major, which the runtime reads in place.
 *
 * The runtime copies every output into a fresh array, so a graph that returns its new rows alone copies little; they
 * then go into place here. That happens at the next `feeds` (or at `settle`), so that the first token of a prompt does
 * not wait for it.
 * @param emptyTensors whether an empty cache feeds tensors without rows; if not, spare rows that the mask hides
 * @param rowsInAll where it is known how many rows there will ever be: memory for them is taken once, and rows move
 * apart in it as more come. So growing leaves no garbage beside the cache, and long prompts in pieces of a multiple of
 * 64 tokens meet no spare rows
 */
export function createKvCache(
  slots: readonly CacheSlot[],
  batch: number,
  emptyTensors = true,
  rowsInAll: number | null = null,
): GraphCache {
  const rows = new Map(slots.map((slot) => [slot, createSlotRows(slot, batch)]))
  const windows = [...new Set(slots.flatMap(({ window }) => window ?? []))]
  const rings = windows.map((window) => ({ window, positions: createRingPositions(window) }))
  /** where memory is taken once: the rows it has room for */
  let known = rowsInAll === null ? null : roundUp(rowsInAll)
  let capacity = 0
  /** rows in their place; what `waiting` holds comes after them */
  let placed = 0
  let waiting: { outputs: Readonly<Record<string, Tensor | undefined>>; tokens: number } | null = null
  let kept: Kept | null = null
  let fed = { bytes: 0, length: 0 }

  function grow(wanted: number): void {
    if (known !== null && wanted > known) known = null
    for (const own of rows.values()) own.resize(wanted, placed, known)
    capacity = wanted
  }

  function settle(): void {
    if (!waiting) return
    const { outputs, tokens } = waiting
    waiting = null
    if (placed + tokens > capacity) {
      grow(known === null ? grownCapacity(capacity, placed + tokens) : roundUp(placed + tokens))
    }
    for (const [slot, own] of rows) {
      const made = outputs[slot.output]
      if (made?.type !== 'float32') throw new AppError('INTERNAL', `a step returned no float32 rows ${slot.output}`)
      // Of a ring the last rows are enough: that is what a copy is made from.
      const count = made.dims[2] ?? tokens
      own.place({ from: placed + tokens - count, count, data: made.data })
    }
    placed += tokens
  }

  return {
    batch,
    get length() {
      return placed + (waiting?.tokens ?? 0)
    },
    get capacity() {
      return capacity
    },
    bitsPerValue: 8 * Float32Array.BYTES_PER_ELEMENT,
    get fedLength() {
      return fed.length
    },
    reserve(wanted) {
      settle()
      if (wanted > capacity) grow(roundUp(wanted))
    },
    feeds() {
      settle()
      // An empty cache feeds no rows at all, whatever is reserved: a prompt pays nothing for spare rows.
      if (capacity === 0 && !emptyTensors) grow(growthStep)
      const empty = placed === 0 && emptyTensors
      const tensors: Record<string, Tensor> = {}
      fed = { bytes: 0, length: placed }
      for (const [slot, own] of rows) {
        const tensor = own.tensor(empty)
        tensors[slot.input] = tensor
        fed.bytes += filledBytes(tensor, Math.min(placed, slot.window ?? placed))
      }
      const fedRows = empty ? 0 : capacity
      const mask = new Float32Array(fedRows).fill(maskedScore, placed)
      return {
        tensors,
        mask: { type: 'float32', data: mask, dims: [1, 1, 1, fedRows] },
        ringPositions: new Map(
          rings.map(({ window, positions }) => [window, positions(Math.min(fedRows, window), placed)]),
        ),
      }
    },
    append(outputs, tokens) {
      settle()
      // Whatever else the step returned must not stay in memory until the next one.
      waiting = { outputs: Object.fromEntries(slots.map(({ output }) => [output, outputs[output]])), tokens }
    },
    settle,
    truncate(length) {
      settle()
      if (length >= placed) return
      const window = windows.find((one) => placed > one)
      if (length > 0 && window !== undefined) {
        if (kept === null || kept.length !== length || placed > length + kept.tokens) {
          throw new AppError(
            'INTERNAL',
            `a cache of ${placed} tokens cannot go back to ${length}: a window of ${window} has written over their rows`,
          )
        }
        for (const [own, lost] of kept.rows) own.place(lost)
      }
      placed = length
      if (kept !== null && length < kept.length) kept = null
    },
    keep(tokens) {
      settle()
      kept = { length: placed, tokens, rows: [] }
      for (const [{ window }, own] of rows) {
        const count = window === undefined ? 0 : rowsToKeep(window, placed, tokens)
        if (window !== undefined && count > 0) kept.rows.push([own, own.read(Math.max(0, placed - window), count)])
      }
    },
    trim(wanted) {
      settle()
      const needed = roundUp(Math.max(wanted, placed))
      if (needed < capacity) grow(needed)
    },
    copy() {
      settle()
      const copied = createKvCache(slots, batch, emptyTensors)
      if (placed === 0) return copied
      const outputs = [...rows].map(([slot, own]) => {
        const held = Math.min(placed, slot.window ?? placed)
        const { data } = own.read(placed - held, held)
        return [slot.output, { type: 'float32', data, dims: [batch, slot.heads, held, slot.width] }] as const
      })
      copied.append(Object.fromEntries(outputs), placed)
      copied.settle()
      return copied
    },
    measuredBytes: () => fed.bytes,
    allocatedBytes() {
      settle()
      return [...rows.values()].reduce((bytes, own) => bytes + own.bytes(), 0)
    },
  }
}

/** What `keep` remembers: a length, and rows that rings lose while they take that many tokens more. */
interface Kept {
  length: number
  tokens: number
  rows: [SlotRows, RowsOfPositions][]
}

/** Rows of a sequence of `length` tokens that a ring of `window` rows writes over while it takes `tokens` more. */
export function rowsToKeep(window: number, length: number, tokens: number): number {
  const oldest = Math.max(0, length - window)
  return Math.max(0, Math.min(length, length + tokens - window) - oldest)
}

/** Bytes of `filled` rows of a tensor [batch, heads, rows, width], from the tensor alone. */
function filledBytes({ data, dims }: Tensor, filled: number): number {
  const [batch = 0, heads = 0, , width = 0] = dims
  return batch * heads * filled * width * data.BYTES_PER_ELEMENT
}

function roundUp(rows: number): number {
  return Math.ceil(rows / growthStep) * growthStep
}
