import { AppError } from '../errors.ts'
import type { Tensor } from '../onnx/session.ts'

/** One cached tensor of a model, [batch, heads, rows, width]: a layer's keys or its values. */
export interface CacheSlot {
  /** name of the graph input that takes the cached rows */
  input: string
  /** name of the graph output that returns the new rows */
  output: string
  /** K/V heads */
  heads: number
  /** values in one row of one head */
  width: number
}

/** What a step feeds of a cache: every slot's tensor, and the mask over its rows, [1, 1, 1, rows]. */
export interface CacheFeeds {
  tensors: Readonly<Record<string, Tensor>>
  /** 0 for a filled row, `maskedScore` for a spare one */
  mask: Tensor
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
  /** Forgets all rows from `length` on; memory is kept. */
  truncate(length: number): void
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
  /** Takes the rows that a step returned for its `tokens` tokens a sequence. */
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
  const memory = new Map<string, Float32Array>()
  /** where memory is taken once: the rows it has room for, and what the arrays of `memory` are the beginning of */
  let known = rowsInAll === null ? null : roundUp(rowsInAll)
  const wholes = new Map<string, Float32Array>()
  let capacity = 0
  /** rows in their place; what `waiting` holds comes after them */
  let placed = 0
  let waiting: { outputs: Readonly<Record<string, Tensor | undefined>>; tokens: number } | null = null
  let fed = { bytes: 0, length: 0 }

  const rowsOf = (slot: CacheSlot) => memory.get(slot.input) ?? new Float32Array(0)

  function grow(rows: number): void {
    if (known !== null && rows <= known) {
      spread(rows, known)
      return
    }
    known = null
    wholes.clear()
    for (const slot of slots) {
      const grown = allocate(batch * slot.heads * rows * slot.width)
      copyRows(rowsOf(slot), { rows: capacity, from: 0 }, grown, { rows, from: 0 }, placed, slot)
      memory.set(slot.input, grown)
    }
    capacity = rows
  }

  /** Moves each head's rows to where they belong when every head has `rows`, the last head first. */
  function spread(rows: number, most: number): void {
    for (const slot of slots) {
      const { width } = slot
      const heads = batch * slot.heads
      const whole = wholes.get(slot.input) ?? allocate(heads * most * width)
      wholes.set(slot.input, whole)
      const order = Array.from({ length: heads }, (_, index) => (rows > capacity ? heads - 1 - index : index))
      for (const head of order) {
        const start = head * capacity * width
        whole.copyWithin(head * rows * width, start, start + placed * width)
      }
      memory.set(slot.input, whole.subarray(0, heads * rows * width))
    }
    capacity = rows
  }

  /** Copies `count` rows of every head; both arrays are [batch, heads, rows, width]. */
  function copyRows(source: Float32Array, at: Place, target: Float32Array, to: Place, count: number, slot: CacheSlot) {
    const { width } = slot
    for (let head = 0; head < batch * slot.heads; head++) {
      const start = (head * at.rows + at.from) * width
      target.set(source.subarray(start, start + count * width), (head * to.rows + to.from) * width)
    }
  }

  function settle(): void {
    if (!waiting) return
    const { outputs, tokens } = waiting
    waiting = null
    if (placed + tokens > capacity) {
      grow(known === null ? grownCapacity(capacity, placed + tokens) : roundUp(placed + tokens))
    }
    for (const slot of slots) {
      const rows = outputs[slot.output]
      if (rows?.type !== 'float32') throw new AppError('INTERNAL', `a step returned no float32 rows ${slot.output}`)
      copyRows(rows.data, { rows: tokens, from: 0 }, rowsOf(slot), { rows: capacity, from: placed }, tokens, slot)
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
    reserve(rows) {
      settle()
      if (rows > capacity) grow(roundUp(rows))
    },
    feeds() {
      settle()
      // An empty cache feeds no rows at all, whatever is reserved: a prompt pays nothing for spare rows.
      if (capacity === 0 && !emptyTensors) grow(growthStep)
      const rows = placed === 0 && emptyTensors ? 0 : capacity
      const tensors: Record<string, Tensor> = {}
      fed = { bytes: 0, length: placed }
      for (const slot of slots) {
        const data = rows === 0 ? new Float32Array(0) : rowsOf(slot)
        const tensor: Tensor = { type: 'float32', data, dims: [batch, slot.heads, rows, slot.width] }
        tensors[slot.input] = tensor
        fed.bytes += filledBytes(tensor, placed)
      }
      const mask = new Float32Array(rows).fill(maskedScore, placed)
      return { tensors, mask: { type: 'float32', data: mask, dims: [1, 1, 1, rows] } }
    },
    append(outputs, tokens) {
      settle()
      // Whatever else the step returned must not stay in memory until the next one.
      waiting = { outputs: Object.fromEntries(slots.map(({ output }) => [output, outputs[output]])), tokens }
    },
    settle,
    truncate(length) {
      settle()
      placed = Math.min(placed, length)
    },
    trim(rows) {
      settle()
      const kept = roundUp(Math.max(rows, placed))
      if (kept < capacity) grow(kept)
    },
    copy() {
      settle()
      const copied = createKvCache(slots, batch, emptyTensors)
      if (placed === 0) return copied
      const outputs = slots.map((slot) => {
        const data = allocate(batch * slot.heads * placed * slot.width)
        copyRows(rowsOf(slot), { rows: capacity, from: 0 }, data, { rows: placed, from: 0 }, placed, slot)
        const dims = [batch, slot.heads, placed, slot.width]
        return [slot.output, { type: 'float32', data, dims }] as const
      })
      copied.append(Object.fromEntries(outputs), placed)
      copied.settle()
      return copied
    },
    measuredBytes: () => fed.bytes,
    allocatedBytes() {
      settle()
      return slots.reduce((bytes, slot) => bytes + (wholes.get(slot.input) ?? rowsOf(slot)).byteLength, 0)
    },
  }
}

/** Rows of one head in an array, and the row that copying starts at. */
interface Place {
  rows: number
  from: number
}

/** Bytes of `filled` rows of a tensor [batch, heads, rows, width], from the tensor alone. */
function filledBytes({ data, dims }: Tensor, filled: number): number {
  const [batch = 0, heads = 0, , width = 0] = dims
  return batch * heads * filled * width * data.BYTES_PER_ELEMENT
}

function roundUp(rows: number): number {
  return Math.ceil(rows / growthStep) * growthStep
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
