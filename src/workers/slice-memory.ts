import type { ModelConfig } from '../architecture/model-config.ts'
import { type AvailableMemory, availableMemory } from '../bench/memory.ts'
import { AppError } from '../errors.ts'
import type { PlannedSlices } from '../jobs/check-weight-slices.ts'
import { matrixCount } from '../models/head-weights.ts'

/** Node, and what is read of a tensor at once. */
const processBytes = 150e6

/**
 * Refuses slices whose layer does not fit into memory, before a weight is read.
 * @throws AppError OUT_OF_MEMORY with the arithmetic
 */
export function ensureMemory(
  plan: readonly PlannedSlices[],
  name: string,
  config: ModelConfig,
  available: AvailableMemory = availableMemory(),
): void {
  const { hiddenSize, headDim, heads } = config
  const kvHeads = Math.max(...config.attention.map((shape) => shape.kvHeads ?? 0))
  const counts = [...new Set(plan.map(({ projection }) => projection))].map((one) => matrixCount(one, heads, kvHeads))
  const total = counts.reduce((sum, count) => sum + count, 0)
  // The largest projection is held twice more while its heads are compared: turned, and with its columns centred.
  const copies = 2 * Math.max(...counts)
  const needed = processBytes + (total + copies) * hiddenSize * headDim * 4
  if (needed <= available.bytes) return
  const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(2)} GB`
  throw new AppError(
    'OUT_OF_MEMORY',
    `a layer of ${name} needs about ${gigabytes(needed)} (${total} matrices and ${copies} copies of ${hiddenSize} x ${headDim} x 4 B), and ${gigabytes(available.bytes)} are left by the ${available.bound}`,
    'Ask for fewer projections, or free memory.',
  )
}
