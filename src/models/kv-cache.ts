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
  /** 0 for a filled row, hugely negative for a spare one */
  mask: Tensor
}

/**
 * The keys and values of the tokens that a model has seen. A model does not know who owns the memory: JavaScript here,
 * a GPU's memory elsewhere.
 *
 * Rows are appended after a step, so a step that reaches depth D feeds the D rows of the tokens before its own.
 */
export interface KvCache {
  readonly batch: number
  /** filled rows: tokens of each sequence */
  readonly length: number
  /** rows there is memory for */
  readonly capacity: number
  /** Makes room for that many rows in all, so that no step until then has to grow. */
  reserve(rows: number): void
  /** The tensors for the next step. They stay valid until the next call of any method. */
  feeds(): CacheFeeds
  /** Takes the rows that a step returned for its `tokens` tokens a sequence. */
  append(outputs: Readonly<Record<string, Tensor>>, tokens: number): void
  /** Copies appended rows into place now rather than at the next `feeds`; a timed step then has no earlier step's work. */
  settle(): void
  /** Forgets all rows from `length` on; memory is kept. */
  truncate(length: number): void
  /**
   * Bytes of the filled rows of the tensors that the last step was fed, from those tensors' own sizes and element
   * size. Equals the formula (architecture/kv-bytes) at depth `fedLength`; 0 before the first step.
   */
  measuredBytes(): number
  /** Filled rows at the last `feeds`: the depth that `measuredBytes` speaks of. */
  readonly fedLength: number
  /** Bytes of memory held for rows, filled or spare. */
  allocatedBytes(): number
}

/** Added to a score, it leaves a probability of exactly 0 in float32, and never makes an infinity of a sum. */
export const hidden = -1e30

const growthStep = 64

/**
 * A cache whose rows live in JavaScript arrays, head-major, which the runtime reads in place.
 *
 * The runtime copies every output into a fresh array. That copy is all that a graph returning only its new rows pays;
 * the rows then go into place here. They do so at the next `feeds` (or at `settle`), so that the first token of a
 * prompt does not wait for it.
 */
export function createKvCache(slots: readonly CacheSlot[], batch: number): KvCache {
  let length = 0
  let capacity = 0
  let memory = new Map<string, Float32Array>(slots.map((slot) => [slot.input, new Float32Array(0)]))
  let waiting: { outputs: Readonly<Record<string, Tensor>>; tokens: number } | null = null
  let fed: { tensors: readonly Tensor[]; length: number } = { tensors: [], length: 0 }

  function grow(rows: number): void {
    const grown = new Map<string, Float32Array>()
    for (const slot of slots) {
      const values = new Float32Array(batch * slot.heads * rows * slot.width)
      moveRows(memory.get(slot.input), capacity, values, rows, slot, length)
      grown.set(slot.input, values)
    }
    memory = grown
    capacity = rows
  }

  function moveRows(
    from: Float32Array | undefined,
    fromRows: number,
    to: Float32Array,
    toRows: number,
    slot: CacheSlot,
    count: number,
  ) {
    if (!from || count === 0) return
    for (let head = 0; head < batch * slot.heads; head++) {
      const start = head * fromRows * slot.width
      to.set(from.subarray(start, start + count * slot.width), head * toRows * slot.width)
    }
  }

  function settle(): void {
    if (!waiting) return
    const { outputs, tokens } = waiting
    waiting = null
    const settled = length - tokens
    if (length > capacity) {
      // An eighth more each time keeps the copying linear in the length and the masked spare rows few.
      const wanted = Math.max(length, capacity + capacity / 8)
      const target = length
      length = settled
      grow(roundUp(wanted))
      length = target
    }
    for (const slot of slots) {
      const rows = outputs[slot.output]?.data
      const values = memory.get(slot.input)
      if (!(rows instanceof Float32Array) || !values) continue
      for (let head = 0; head < batch * slot.heads; head++) {
        const start = head * tokens * slot.width
        values.set(rows.subarray(start, start + tokens * slot.width), (head * capacity + settled) * slot.width)
      }
    }
  }

  return {
    batch,
    get length() {
      return length
    },
    get capacity() {
      return Math.max(capacity, length)
    },
    get fedLength() {
      return fed.length
    },
    reserve(rows) {
      settle()
      if (rows > capacity) grow(roundUp(rows))
    },
    feeds() {
      settle()
      // An empty cache is fed no rows at all, whatever is reserved: a prompt pays nothing for spare rows.
      const rows = length === 0 ? 0 : capacity
      const tensors: Record<string, Tensor> = {}
      for (const slot of slots) {
        const values = memory.get(slot.input) ?? new Float32Array(0)
        const data = rows === capacity ? values : new Float32Array(0)
        tensors[slot.input] = { type: 'float32', data, dims: [batch, slot.heads, rows, slot.width] }
      }
      fed = { tensors: Object.values(tensors), length }
      const mask = new Float32Array(rows).fill(hidden, length)
      return { tensors, mask: { type: 'float32', data: mask, dims: [1, 1, 1, rows] } }
    },
    append(outputs, tokens) {
      settle()
      waiting = { outputs, tokens }
      length += tokens
    },
    settle,
    truncate(wanted) {
      settle()
      length = Math.min(length, wanted)
    },
    measuredBytes() {
      let bytes = 0
      for (const { data, dims } of fed.tensors) {
        const [sequences = 0, heads = 0, , width = 0] = dims
        bytes += sequences * heads * fed.length * width * data.BYTES_PER_ELEMENT
      }
      return bytes
    },
    allocatedBytes() {
      let bytes = 0
      for (const values of memory.values()) bytes += values.byteLength
      return bytes
    },
  }
}

function roundUp(rows: number): number {
  return Math.ceil(rows / growthStep) * growthStep
}
