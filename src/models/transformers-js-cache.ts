import { AppError } from '../errors.ts'
import type { KvCache } from './kv-cache.ts'

/** A tensor of a peer's cache: [..., rows, width], row-major. */
export interface PastTensor {
  readonly type: string
  readonly dims: readonly number[]
  readonly data: ArrayBufferView
}

/** A cache as transformers.js has it: every step returns all rows in new tensors, which the next step is fed whole. */
export interface PastCache<T extends PastTensor> extends KvCache {
  copy(): PastCache<T>
  /** what the next step is fed, by the names of the graph's inputs; null while nothing is cached */
  feeds(): Readonly<Record<string, T>> | null
  /**
   * Takes what a step returned: all rows, its own included.
   * @throws AppError CONFIG_UNSUPPORTED where a tensor has not one row for each token
   */
  replace(present: Readonly<Record<string, T>>, length: number): void
}

/**
 * There is no spare room in it: a step allocates what it returns, which is part of what the peer takes for it. So there
 * is nothing to reserve, to trim, to settle or to keep; cutting it back copies the rows that stay.
 * @param cut the first `rows` rows of a tensor, as a tensor of their own
 */
export function createPastCache<T extends PastTensor>(
  batch: number,
  bitsPerValue: number,
  cut: (tensor: T, rows: number) => T,
): PastCache<T> {
  type Rows = { tensors: Readonly<Record<string, T>>; length: number }
  const nothing: Rows = { tensors: {}, length: 0 }
  let held = nothing
  /** what the last cut left: trials are cut back to the same depth again and again, and steps never change a tensor */
  let kept = nothing
  let fed = { bytes: 0, length: 0 }

  return {
    batch,
    bitsPerValue,
    get length() {
      return held.length
    },
    get capacity() {
      return held.length
    },
    get fedLength() {
      return fed.length
    },
    reserve() {},
    settle() {},
    trim() {},
    keep() {},
    feeds() {
      fed = { bytes: bytesOf(Object.values(held.tensors)), length: held.length }
      return held.length === 0 ? null : held.tensors
    },
    replace(present, length) {
      for (const [name, { dims }] of Object.entries(present)) {
        if (dims.at(-2) === length) continue
        throw new AppError(
          'CONFIG_UNSUPPORTED',
          `${name} is [${dims.join(', ')}] after ${length} tokens: this export does not cache one row for each`,
          'Take a model without sliding windows or recurrent states, or runtime KVSCOPE.',
        )
      }
      held = { tensors: present, length }
    },
    truncate(length) {
      if (length >= held.length) return
      if (kept.length !== length) {
        const tensors = Object.entries(held.tensors).map(([name, tensor]) => [name, cut(tensor, length)] as const)
        kept = length === 0 ? nothing : { tensors: Object.fromEntries(tensors), length }
      }
      held = kept
    },
    copy() {
      const copied = createPastCache(batch, bitsPerValue, cut)
      const tensors = Object.entries(held.tensors).map(([name, tensor]) => [name, cut(tensor, held.length)] as const)
      if (held.length > 0) copied.replace(Object.fromEntries(tensors), held.length)
      return copied
    },
    measuredBytes: () => fed.bytes,
    allocatedBytes: () => bytesOf(new Set([...Object.values(held.tensors), ...Object.values(kept.tensors)])),
  }
}

function bytesOf(tensors: Iterable<PastTensor>): number {
  let bytes = 0
  for (const { data } of tensors) bytes += data.byteLength
  return bytes
}

/** The first `rows` rows of every leading index of [..., rows, width], in memory of their own. */
export function firstRows({ data, dims }: Omit<PastTensor, 'type'>, rows: number): Uint8Array<ArrayBuffer> {
  const all = dims.at(-2) ?? 0
  const leading = dims.slice(0, -2).reduce((product, size) => product * size, 1)
  const rowBytes = leading * all === 0 ? 0 : data.byteLength / (leading * all)
  const from = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  const to = new Uint8Array(leading * rows * rowBytes)
  for (let index = 0; index < leading; index += 1) {
    const start = index * all * rowBytes
    to.set(from.subarray(start, start + rows * rowBytes), index * rows * rowBytes)
  }
  return to
}
