import type { Checkpoint, TensorEntry } from '../checkpoints/checkpoint.ts'
import { quote } from '../checkpoints/quote.ts'
import { readValues } from '../checkpoints/read-tensor.ts'
import { AppError } from '../errors.ts'
import type { HeadMatrixPlace, Span } from './head-matrix-place.ts'
import { matrixShape } from './head-weights.ts'

/** Values of a tensor that are read at once. */
const blockValues = 4 * 1024 * 1024

/**
 * Heads' whole matrices, each row-major in its own orientation, [d_model, d_head] or for W_O [d_head, d_model]. Of each
 * tensor only the rows that hold one of the matrices are read, and each of them once, whatever the number of heads.
 * Besides what it returns it holds 16 MiB, and 8 more where the file is in 16 bits.
 * @param valuesAtOnce at least a row is read, however long
 * @throws AppError CHECKPOINT_INVALID where a tensor is missing or not of the expected shape
 */
export async function readHeadMatrices(
  checkpoint: Checkpoint,
  places: readonly HeadMatrixPlace[],
  valuesAtOnce = blockValues,
): Promise<Float32Array[]> {
  const wanted = places.map((place) => {
    const [rows, columns] = matrixShape(place)
    return { place, values: new Float32Array(rows * columns) }
  })
  for (const tensor of new Set(places.map((place) => place.tensor))) {
    const ofTensor = wanted.filter(({ place }) => place.tensor === tensor)
    const [first] = ofTensor
    if (first === undefined) continue
    const entry = requireTensor(checkpoint, first.place)
    const width = first.place.tensorShape[1]
    for (const block of blocksOf(
      ofTensor.map(({ place }) => place.rows),
      Math.max(1, Math.floor(valuesAtOnce / width)),
    )) {
      const read = await readValues(entry, block.start * width, block.count * width)
      for (const { place, values } of ofTensor) copyInto(values, place, read, block)
    }
  }
  return wanted.map(({ values }) => values)
}

/** One head's whole matrix, as readHeadMatrices reads several. */
export async function readHeadMatrix(checkpoint: Checkpoint, place: HeadMatrixPlace): Promise<Float32Array> {
  const [matrix] = await readHeadMatrices(checkpoint, [place])
  return matrix ?? new Float32Array(0)
}

/** The tensor of a matrix. @throws AppError CHECKPOINT_INVALID where it is missing or not of the expected shape */
export function requireTensor(checkpoint: Checkpoint, { tensor, tensorShape }: HeadMatrixPlace): TensorEntry {
  const entry = checkpoint.tensors.get(tensor)
  const unread = checkpoint.unread?.get(tensor)
  if (entry?.shape.join() === tensorShape.join()) return entry
  const found = unread ? `holds it as ${unread.dtype}` : entry ? `holds it as [${entry.shape}]` : 'has none'
  throw new AppError(
    'CHECKPOINT_INVALID',
    `${checkpoint.directory} ${found}: config.json asks for the tensor ${quote(tensor)} [${tensorShape}]`,
    'Check that config.json belongs to these weights, and that they are in F32, F16 or BF16.',
  )
}

/** The rows that any span covers, ascending, each once, in blocks of so many at most. */
function blocksOf(spans: readonly Span[], most: number): Span[] {
  const blocks: Span[] = []
  let next = 0
  for (const { start, count } of spans.toSorted((a, b) => a.start - b.start)) {
    for (next = Math.max(next, start); next < start + count; ) {
      const last = blocks.at(-1)
      const free = last !== undefined && last.start + last.count === next ? most - last.count : 0
      const taken = Math.min(start + count - next, free > 0 ? free : most)
      if (last !== undefined && free > 0) last.count += taken
      else blocks.push({ start: next, count: taken })
      next += taken
    }
  }
  return blocks
}

/** Copies what a block of whole tensor rows holds of a matrix. */
function copyInto(values: Float32Array, place: HeadMatrixPlace, read: Float32Array, block: Span): void {
  const { rows, columns, transposed, tensorShape } = place
  const end = Math.min(rows.start + rows.count, block.start + block.count)
  for (let row = Math.max(rows.start, block.start); row < end; row += 1) {
    const from = (row - block.start) * tensorShape[1] + columns.start
    const own = row - rows.start
    if (!transposed) {
      values.set(read.subarray(from, from + columns.count), own * columns.count)
      continue
    }
    for (let column = 0; column < columns.count; column += 1) {
      values[column * rows.count + own] = read[from + column] ?? 0
    }
  }
}
